import type { KeyObject } from 'node:crypto';

/**
 * Whether two public keys are the same. `KeyObject.equals` alone must not be asked that of two kinds of keys or two
 * curves: it leaves OpenSSL's "different key types" behind, on which the next `createPrivateKey` of the thread then
 * fails, whoever's it is (measured on Node 26.10).
 */
export function isSameKey(a: KeyObject, b: KeyObject): boolean {
  if (a.asymmetricKeyType !== b.asymmetricKeyType) return false;
  if (a.asymmetricKeyDetails?.namedCurve !== b.asymmetricKeyDetails?.namedCurve) return false;
  return a.equals(b);
}
