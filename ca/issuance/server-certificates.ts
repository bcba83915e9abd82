import { createHash } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { checkIssued, opensslNames } from '../../src/pki/check-issued.ts';
import { octetsOfAddress, textOfAddress } from '../../src/pki/general-name.ts';
import { lintTbs } from '../../src/pki/lint.ts';
import { assembleCertificate, buildServerTbs } from '../../src/pki/profile.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { validityFor } from '../../src/pki/validity.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { CaMaterial } from '../roots/ca-material.ts';
import type { SignServerCertificate } from '../roots/sign-server-certificate.ts';
import { createIssuer } from './issuer.ts';

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
    const finding = lintTbs(tbs, { ...request, otherNames: names })[0];
    if (finding !== undefined)
      throw new SealwrightError('issuance_lint', { rule: finding.code, found: finding.message });
    const certificate = assembleCertificate(tbs, issuer.template.signatureAlgorithm, issuer.signer.sign(tbs));
    const subjectAltName = opensslNames({ dnsNames, ipAddresses, identity });
    checkIssued(certificate, { serial, ...validity, subjectAltName, publicKey, issuerKey: issuer.publicKey });
    await ledger.append({
      kind: 'issuance',
      serial: serial.toString('hex'),
      identity,
      certificate,
      issuerKeyId: issuer.template.keyIdentifier.toString('hex'),
      ...validity,
      caller: { identity, method: 'operator', credential: 'the CA itself', tokenAuthenticatedAt: now() },
      csrSha256: sha256(spki),
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

/** No CSR is made inside one process: what stands in for it is the key that it would have carried. */
function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
