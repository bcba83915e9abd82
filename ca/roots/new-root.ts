import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { BACKDATE, createRoot, ROOT_LIFETIME } from '../../src/pki/authority.ts';
import { encodeCertificates } from '../../src/pki/certificate-pem.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { ISTIO_NAMES } from './ca-files.ts';

export interface NewRoot {
  readonly trustDomain: TrustDomain;
  /** Wall time in milliseconds. */
  readonly now: number;
  readonly randomBytes: (size: number) => Buffer;
}

/** A self-signed CA that nobody has used yet, as the texts of its files by their names. Holds its key: never log it. */
export async function makeRoot({ trustDomain, now, randomBytes }: NewRoot): Promise<Readonly<Record<string, string>>> {
  const { certificate, privateKey } = await createRoot({
    trustDomain,
    notBefore: now - BACKDATE,
    notAfter: now + ROOT_LIFETIME,
    serial: newSerial(randomBytes),
  });
  const pem = encodeCertificates([certificate]);
  return {
    [ISTIO_NAMES.certificate]: pem,
    [ISTIO_NAMES.key]: encodePrivateKey(privateKey),
    [ISTIO_NAMES.roots]: pem,
    [ISTIO_NAMES.chain]: pem,
  };
}
