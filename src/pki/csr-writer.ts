import type { SpiffeId } from '../identity/spiffe-id.ts';
import { bitString, context, implicit, oid, sequence, setOf, unsignedInteger } from './der/writer.ts';
import { EMPTY_NAME } from './distinguished-name.ts';
import { encodeExtension } from './issuer-template.ts';
import type { KeyPair } from './keys.ts';
import { OID } from './oids.ts';
import { encodePem } from './pem.ts';
import { encodeAlgorithmIdentifier } from './signature-algorithm.ts';
import { createKeySigner } from './signer.ts';

export interface CsrRequest {
  readonly keyPair: KeyPair;
  /** What the caller expects to be named. The CA names who authenticated, whatever stands here (invariant 1). */
  readonly identity?: SpiffeId | undefined;
}

/**
 * Makes a certification request (PKCS #10, RFC 2986) as PEM. With an identity it asks for a critical URI SAN under an
 * empty subject, as ztunnel does, which Istio's CA takes as well.
 *
 * Written byte by byte: every sidecar makes one in its lifetime's first second, and a library for it would stay in
 * memory ever after.
 *
 * @throws SealwrightError `signer_key_unsupported`
 */
export function createCsr({ keyPair, identity }: CsrRequest): string {
  const signer = createKeySigner(keyPair.privateKey);
  const attributes = identity === undefined ? [] : [extensionRequest(identity)];
  // RFC 2986 4.1: the version is 0, and the attributes are there ([0]) also where there are none.
  const info = sequence(unsignedInteger(0), EMPTY_NAME, signer.spki, context(0, ...attributes));
  const signature = bitString(signer.sign(info));
  return encodePem('CERTIFICATE REQUEST', sequence(info, encodeAlgorithmIdentifier(signer.algorithm), signature));
}

/** RFC 2985 5.4.2. */
function extensionRequest(identity: SpiffeId): Buffer {
  const names = sequence(implicit(6, Buffer.from(identity.toString(), 'latin1')));
  const extensions = sequence(encodeExtension(OID.subjectAltName, names, { critical: true }));
  return sequence(oid(OID.extensionRequest), setOf(extensions));
}
