import { SealwrightError } from '../core/errors.ts';
import type { PublicKeyInfo } from './public-key.ts';

/** NIST SP 800-57 part 1: 112 bits of strength; what istiod and SPIRE ask for too. */
const SHORTEST_MODULUS = 2048;

/** A verification grows with the square of the modulus: 8192 bits take about 0.3 ms, 16384 are no defence but a load. */
const LONGEST_MODULUS = 8192;

/** F4. Smaller ones, 3 above all, have made forgeries of sloppily checked padding easy. */
const SMALLEST_EXPONENT = 65537;

/** FIPS 186-5 A.1.1 allows up to 2^256; nobody makes them, and a verification's cost grows with their length. */
const LONGEST_EXPONENT = 4;

/**
 * What is wrong with a key as the key of a workload or a CA, or undefined. P-256, P-384 and Ed25519 have no weak
 * keys once the point is on the curve, which the import checks.
 */
export function weaknessOf({ rsa, bits }: PublicKeyInfo): string | undefined {
  if (rsa === undefined) return undefined;
  if (bits < SHORTEST_MODULUS) return `RSA of ${bits} bits, fewer than ${SHORTEST_MODULUS}`;
  if (bits > LONGEST_MODULUS) return `RSA of ${bits} bits, more than ${LONGEST_MODULUS}`;
  if (bits % 8 !== 0) return `RSA of ${bits} bits, which is not a whole number of octets`;
  if ((rsa.modulus.at(-1) ?? 0) % 2 === 0) return 'an even RSA modulus';
  if (rsa.exponent.length > LONGEST_EXPONENT) return `an RSA exponent of more than ${LONGEST_EXPONENT * 8} bits`;
  const exponent = rsa.exponent.length === 0 ? 0 : rsa.exponent.readUIntBE(0, rsa.exponent.length);
  if (exponent < SMALLEST_EXPONENT) return `the RSA exponent ${exponent}, smaller than ${SMALLEST_EXPONENT}`;
  if (exponent % 2 === 0) return `the even RSA exponent ${exponent}`;
  return undefined;
}

/**
 * Refuses a key that no certificate may carry.
 *
 * @throws SealwrightError `csr_key_weak`
 */
export function checkPublicKey(key: PublicKeyInfo): void {
  const weakness = weaknessOf(key);
  if (weakness !== undefined) throw new SealwrightError('csr_key_weak', { reason: weakness });
}
