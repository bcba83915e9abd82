import { createHash } from 'node:crypto';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { opensslNames } from '../../src/pki/check-issued.ts';
import { octetsOfAddress, textOfAddress } from '../../src/pki/general-name.ts';
import { buildServerTbs } from '../../src/pki/profile.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { validityFor } from '../../src/pki/validity.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { CaMaterial } from '../roots/ca-material.ts';
import type { SignServerCertificate } from '../roots/sign-server-certificate.ts';
import { createIssuer } from './issuer.ts';
import { signCertificate } from './sign-certificate.ts';

export interface ServerSignerOptions {
  /** Whose server it is: the CA's own identity. */
  readonly identity: SpiffeId;
  /** The material in use at the moment of signing: it changes with a rotation. */
  readonly material: () => CaMaterial;
  readonly ledger: Pick<Ledger, 'append'>;
  readonly now: () => number;
  readonly randomBytes: (size: number) => Buffer;
}

/**
 * Signs certificates for Sealwright's own servers: DNS names and addresses, a profile that no caller can ask for. The
 * same gates and the same ledger as for everybody else's, so that nothing the CA ever signed is missing from it.
 *
 * @throws SealwrightError `validity_impossible`, `issuance_lint`, `issued_certificate_wrong`, the ledger's codes
 */
export function createServerSigner(options: ServerSignerOptions): SignServerCertificate {
  const { identity, ledger, now, randomBytes } = options;
  return async ({ publicKey, dnsNames, ipAddresses, notAfter }) => {
    const material = options.material();
    const issuer = createIssuer(material);
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const serial = newSerial(randomBytes);
    const validity = validityFor({
      now: now(),
      lifetime: notAfter - now(),
      issuer: { notBefore: issuer.template.notBefore, notAfter: issuer.notAfter },
    });
    const names = [...dnsNames.map((name) => `DNS:${name}`), ...ipAddresses.map(ipName)];
    const request = {
      identity,
      dnsNames,
      ipAddresses,
      spki,
      keyAlgorithm: 'EC-P256',
      serial,
      issuer: issuer.template,
      ...validity,
    } as const;
    const tbs = buildServerTbs(request);
    const subjectAltName = opensslNames({ dnsNames, ipAddresses, identity });
    const expected = { ...request, otherNames: names };
    const certificate = signCertificate({ tbs, expected, subjectAltName, publicKey, issuer });
    await ledger.append({
      kind: 'issuance',
      serial: serial.toString('hex'),
      identity,
      certificate,
      issuerKeyId: issuer.template.keyIdentifier.toString('hex'),
      ...validity,
      caller: { identity, method: 'self', credential: 'the CA itself', tokenAuthenticatedAt: now() },
      spkiSha256: sha256(spki),
      serverNames: names,
    });
    return [certificate, ...material.chain];
  };
}

/** In the one form that an address has when it is read back from its octets. */
function ipName(address: string): string {
  const octets = octetsOfAddress(address);
  return `IP:${octets === undefined ? address : textOfAddress(octets)}`;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
