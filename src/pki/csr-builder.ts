import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { KeyPair } from './keys.ts';
import { signingAlgorithmOf, signingKeyOf, verifyingKeyOf, x509 } from './x509-library.ts';

export interface CsrRequest {
  readonly keyPair: KeyPair;
  /** What the caller expects to be named. The CA names who authenticated, whatever stands here (invariant 1). */
  readonly identity?: SpiffeId;
}

/**
 * Makes a certificate signing request as PEM. With an identity it asks for a critical URI SAN under an empty subject,
 * as ztunnel does, which Istio's CA takes as well.
 */
export async function createCsr({ keyPair, identity }: CsrRequest): Promise<string> {
  const names: x509.JsonGeneralNames = identity === undefined ? [] : [{ type: x509.URL, value: String(identity) }];
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    keys: { privateKey: signingKeyOf(keyPair.privateKey), publicKey: verifyingKeyOf(keyPair.publicKey) },
    signingAlgorithm: signingAlgorithmOf(keyPair.privateKey),
    extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names, true)],
  });
  return `${csr.toString('pem')}\n`;
}
