import { randomBytes } from 'node:crypto';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseTrustDomain } from '../../identity/trust-domain.ts';
import { SpiffeId } from '../../identity/spiffe-id.ts';
import { createRoot } from '../../pki/authority.ts';
import { createIssuerTemplate } from '../../pki/issuer-template.ts';
import { createKeyPair, encodePrivateKey } from '../../pki/keys.ts';
import { encodePem } from '../../pki/pem.ts';
import { assembleCertificate, buildLeafTbs } from '../../pki/profile.ts';
import { newSerial } from '../../pki/serial.ts';
import { createKeySigner } from '../../pki/signer.ts';
import type { Call, Connect } from './call.ts';

/** Somebody without a sidecar, who calls services directly. */
export interface Outsider {
  readonly name: string;
  readonly connect: Connect;
}

const HOUR = 3_600_000;

/** Who tries to get in: in plaintext, by TLS without a certificate, and with a good one of somebody else's CA. */
export async function createOutsiders(now: number): Promise<readonly Outsider[]> {
  const foreign = await foreignCertificate(now);
  return [
    { name: 'plaintext', connect: ({ address, port }) => connectPlain(port, address) },
    { name: 'no certificate', connect: (call) => overTls(call) },
    { name: 'foreign', connect: (call) => overTls(call, foreign) },
  ];
}

function overTls({ address, port }: Call, identity?: { cert: string; key: string }): Socket {
  // An attacker does not care whom it talks to.
  return connectTls({ host: address, port, rejectUnauthorized: false, ALPNProtocols: ['istio'], ...identity });
}

/** A certificate for a frontend, perfect but for its issuer: the CA of another trust domain. */
async function foreignCertificate(now: number): Promise<{ cert: string; key: string }> {
  const second = Math.floor(now / 1000) * 1000;
  const validity = { notBefore: second - HOUR, notAfter: second + HOUR };
  const root = await createRoot({ trustDomain: parseTrustDomain('elsewhere.example'), serial: serial(), ...validity });
  const signer = createKeySigner(root.privateKey);
  const issuer = createIssuerTemplate(root.certificate, signer);
  const { publicKey, privateKey } = await createKeyPair();
  const tbs = buildLeafTbs({
    identity: SpiffeId.parse('spiffe://elsewhere.example/ns/shop/sa/frontend'),
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    keyAlgorithm: 'EC-P256',
    serial: serial(),
    issuer,
    ...validity,
  });
  const leaf = assembleCertificate(tbs, issuer.signatureAlgorithm, signer.sign(tbs));
  const cert = [leaf, root.certificate].map((der) => encodePem('CERTIFICATE', der)).join('');
  return { cert, key: encodePrivateKey(privateKey) };
}

const serial = (): Buffer => newSerial((size) => randomBytes(size));
