// @peculiar/x509 asks its dependency container for decorators' metadata when it loads, so the polyfill comes first.
// A bundler must keep this file (`sideEffects`), and nothing else imports either package.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import type { KeyObject, webcrypto } from 'node:crypto';
import { keyTypeOf } from './keys.ts';

export { x509 };

/**
 * A private key as @peculiar/x509 signs with it: not extractable, and bound to the one signature algorithm that a
 * certificate may carry for its type (RSA: PKCS#1 v1.5, which every verifier of the field reads).
 */
export function signingKeyOf(privateKey: KeyObject): webcrypto.CryptoKey {
  return privateKey.toCryptoKey(algorithmOf(privateKey), false, ['sign']);
}

/** A public key as @peculiar/x509 takes it. */
export function verifyingKeyOf(publicKey: KeyObject): webcrypto.CryptoKey {
  return publicKey.toCryptoKey(algorithmOf(publicKey), true, ['verify']);
}

/** The hash beside an EC key, which the key's own algorithm does not say (RFC 5758 3.2: as strong as the curve). */
export function signingAlgorithmOf(key: KeyObject): webcrypto.EcdsaParams | webcrypto.Algorithm {
  const type = keyTypeOf(key);
  if (type === 'EC-P256') return { name: 'ECDSA', hash: 'SHA-256' };
  if (type === 'EC-P384') return { name: 'ECDSA', hash: 'SHA-384' };
  return { name: type === 'RSA' ? 'RSASSA-PKCS1-v1_5' : 'Ed25519' };
}

function algorithmOf(key: KeyObject): webcrypto.EcKeyImportParams | webcrypto.RsaHashedImportParams | string {
  const type = keyTypeOf(key);
  if (type === 'EC-P256') return { name: 'ECDSA', namedCurve: 'P-256' };
  if (type === 'EC-P384') return { name: 'ECDSA', namedCurve: 'P-384' };
  return type === 'RSA' ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } : 'Ed25519';
}
