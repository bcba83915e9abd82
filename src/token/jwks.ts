import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { algorithmsFor } from './signature-algorithm.ts';
import { isJsonObject, member, parseJsonObject, type JsonObject } from './strict-json.ts';

/** A public key that verifies tokens. */
export interface VerificationKey {
  /** As the set names it; a key without one is tried for every token. */
  readonly kid: string | undefined;
  readonly key: KeyObject;
  /** The algorithms it may be used with: all that fit its type, or the one that its `alg` names. */
  readonly algorithms: readonly string[];
}

export interface JwkSet {
  readonly keys: readonly VerificationKey[];
  /** Members that cannot be used, each with its reason, for the log. */
  readonly skipped: readonly string[];
}

/** Bytes. Public key sets have a few keys of about half a kilobyte; some carry certificates beside them. */
export const LARGEST_KEY_SET = 256 * 1024;

/** A token without a kid is tried against all of them, so their number bounds what one token can cost. */
const MOST_KEYS = 64;

/** RFC 7518 3.3 asks for 2048 bits; a verification with 8192 takes about 0.3 ms, and nobody needs more. */
const RSA_BITS = { least: 2048, most: 8192 };

/** A long public exponent makes each verification slow; 65537 is the usual one. */
const LARGEST_RSA_EXPONENT = 0xffff_ffffn;

/** A set in which nobody has a key. */
export const EMPTY_KEY_SET: JwkSet = Object.freeze({ keys: [], skipped: [] });

/** As `readJwkSet`, for sources that read from elsewhere anyway. */
export async function parseJwkSet(bytes: Buffer): Promise<JwkSet> {
  return readJwkSet(bytes);
}

/**
 * Reads a JSON Web Key Set (RFC 7517 5). Members that are no usable public signature key are skipped, as 5 asks;
 * a set that has none left is still a set: its owner has withdrawn every key.
 *
 * @throws SealwrightError `jwks_invalid` where it is no key set at all
 */
export function readJwkSet(bytes: Buffer): JwkSet {
  if (bytes.length > LARGEST_KEY_SET) return invalid(`larger than ${LARGEST_KEY_SET} bytes`);
  const members = member(parseJsonObject(bytes, invalid), 'keys');
  if (!Array.isArray(members)) return invalid('has no list named keys');
  if (members.length > MOST_KEYS) return invalid(`has more than ${MOST_KEYS} keys`);
  const keys: VerificationKey[] = [];
  const skipped: string[] = [];
  for (const [index, jwk] of members.entries()) {
    const read = isJsonObject(jwk) ? readKey(jwk) : 'not an object';
    if (typeof read === 'string') skipped.push(`keys[${index}]: ${read}`);
    else keys.push(read);
  }
  return { keys, skipped };
}

/** The key, or the reason why it cannot be used. */
function readKey(jwk: JsonObject): VerificationKey | string {
  const text = (name: string): string | undefined => {
    const value = member(jwk, name);
    return typeof value === 'string' ? value : undefined;
  };
  const use = member(jwk, 'use');
  if (use !== undefined && use !== 'sig') return 'its use is not sig';
  const operations = member(jwk, 'key_ops');
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'its key_ops do not name verify';
  }
  if (Object.hasOwn(jwk, 'd') || Object.hasOwn(jwk, 'k')) return 'it holds a private or secret key';
  const publicPart = publicPartOf(text);
  if (publicPart === undefined) return 'its kty, or a member that its kty asks for, is not known';
  const key = importPublicKey(publicPart);
  if (typeof key === 'string') return key;
  const fitting = algorithmsFor(key);
  const alg = text('alg');
  if (alg !== undefined && !fitting.includes(alg)) return 'its alg does not fit it';
  return { kid: text('kid'), key, algorithms: alg === undefined ? fitting : [alg] };
}

const CURVES: ReadonlySet<string> = new Set(['P-256', 'P-384', 'P-521']);

/** Only the members of a public key, so that nothing else in the document can steer the import. */
function publicPartOf(text: (name: string) => string | undefined): JsonWebKey | undefined {
  const [kty, crv, n, e, x, y] = ['kty', 'crv', 'n', 'e', 'x', 'y'].map(text);
  if (kty === 'RSA' && n !== undefined && e !== undefined) return { kty, n, e };
  if (kty === 'EC' && crv !== undefined && x !== undefined && y !== undefined) {
    return CURVES.has(crv) ? { kty, crv, x, y } : undefined;
  }
  if (kty === 'OKP' && crv === 'Ed25519' && x !== undefined) return { kty, crv, x };
  return undefined;
}

function importPublicKey(jwk: JsonWebKey): KeyObject | string {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    return `it cannot be imported: ${reasonOf(error)}`;
  }
  const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && (modulusLength < RSA_BITS.least || modulusLength > RSA_BITS.most)) {
    return `an RSA key of ${modulusLength} bits; ${RSA_BITS.least} to ${RSA_BITS.most} are taken`;
  }
  if (publicExponent !== undefined && (publicExponent < 3n || publicExponent > LARGEST_RSA_EXPONENT)) {
    return 'its public exponent is out of range';
  }
  return key;
}

function invalid(reason: string): never {
  throw new SealwrightError('jwks_invalid', { reason });
}
