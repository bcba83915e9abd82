import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import { digestOf } from './signature-algorithm.ts';

/** Signs with a key that this process holds. What signs elsewhere (PKCS#11, an upstream) is another, asynchronous one. */
export interface Signer {
  readonly algorithm: 'ecdsa-with-SHA256' | 'ecdsa-with-SHA384' | 'ed25519' | 'sha256WithRSAEncryption';
  /** SubjectPublicKeyInfo of the key that signs. */
  readonly spki: Buffer;
  sign(tbs: Buffer): Buffer;
}

/**
 * A signer over a private key: P-256 with SHA-256, P-384 with SHA-384, Ed25519, RSA with SHA-256.
 *
 * @throws SealwrightError `signer_key_unsupported`
 */
export function createKeySigner(privateKey: KeyObject): Signer {
  const algorithm = algorithmFor(privateKey);
  const digest = digestOf(algorithm);
  return Object.freeze({
    algorithm,
    spki: createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    sign: (tbs: Buffer) => sign(digest, tbs, privateKey),
  });
}

function algorithmFor(key: KeyObject): Signer['algorithm'] {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.type === 'private') {
    if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return 'ecdsa-with-SHA256';
    if (key.asymmetricKeyType === 'ec' && curve === 'secp384r1') return 'ecdsa-with-SHA384';
    if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
    if (key.asymmetricKeyType === 'rsa') return 'sha256WithRSAEncryption';
  }
  throw new SealwrightError('signer_key_unsupported', { type: key.asymmetricKeyType ?? key.type, curve });
}
