import { createPublicKey, type KeyObject } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import { DerReader } from './der/reader.ts';
import { TAG } from './der/tags.ts';
import { OID } from './oids.ts';

export type KeyAlgorithm = 'EC-P256' | 'EC-P384' | 'Ed25519' | 'RSA';

/** A public key of one of the four kinds that are known here, as its SubjectPublicKeyInfo says it. */
export interface PublicKeyInfo {
  readonly algorithm: KeyAlgorithm;
  /** The length of the modulus, or of the field of the curve. */
  readonly bits: number;
  /** Of an RSA key, unsigned and big-endian. */
  readonly rsa: { readonly modulus: Buffer; readonly exponent: Buffer } | undefined;
  /** Imported when it is first asked for. Throws `public_key_invalid` where it is no point of its curve. */
  readonly keyObject: KeyObject;
}

interface Curve {
  readonly algorithm: KeyAlgorithm;
  readonly bits: number;
  /** An uncompressed point: 04, x, y. RFC 5480 2.2 leaves compressed ones optional; they would be a second encoding. */
  readonly pointLength: number;
}

const CURVES: Readonly<Record<string, Curve | undefined>> = {
  [OID.p256]: { algorithm: 'EC-P256', bits: 256, pointLength: 65 },
  [OID.p384]: { algorithm: 'EC-P384', bits: 384, pointLength: 97 },
};

/**
 * Reads a SubjectPublicKeyInfo.
 *
 * @throws SealwrightError `der_invalid`, `public_key_invalid`, `public_key_unsupported`
 */
export function parsePublicKey(spki: Buffer): PublicKeyInfo {
  const outer = DerReader.over(spki);
  const info = outer.sequence();
  outer.end();
  const identifier = info.sequence();
  const algorithm = identifier.oid();
  if (algorithm === OID.ecPublicKey) {
    if (identifier.nextTag !== TAG.oid) unsupported('an EC key without a named curve (RFC 5480 2.1.1)');
    const curveOid = identifier.oid();
    identifier.end();
    const curve = CURVES[curveOid] ?? unsupported(`the curve ${curveOid}`);
    const point = info.octetsOfBitString();
    info.end();
    if (point.length !== curve.pointLength || point[0] !== 0x04) invalid('the point is not an uncompressed one');
    return new ParsedPublicKey(spki, { algorithm: curve.algorithm, bits: curve.bits, rsa: undefined });
  }
  if (algorithm === OID.ed25519) {
    // RFC 8410 3: the parameters must be absent.
    identifier.end();
    if (info.octetsOfBitString().length !== 32) invalid('an Ed25519 key has 32 octets');
    info.end();
    return new ParsedPublicKey(spki, { algorithm: 'Ed25519', bits: 256, rsa: undefined });
  }
  if (algorithm === OID.rsaEncryption) {
    // RFC 3279 2.3.1: the parameters must be NULL.
    identifier.null();
    identifier.end();
    const rsa = parseRsa(info.octetsOfBitString());
    info.end();
    return new ParsedPublicKey(spki, { algorithm: 'RSA', bits: bitLength(rsa.modulus), rsa });
  }
  return unsupported(`the key algorithm ${algorithm}`);
}

function parseRsa(key: Buffer): { modulus: Buffer; exponent: Buffer } {
  const outer = DerReader.over(key);
  const fields = outer.sequence();
  outer.end();
  const modulus = positive(fields.integer());
  const exponent = positive(fields.integer());
  fields.end();
  return { modulus, exponent };
}

function positive(integer: Buffer): Buffer {
  const first = integer[0] ?? 0;
  if (first >= 0x80) invalid('a negative number in an RSA key');
  return first === 0 ? integer.subarray(1) : integer;
}

function bitLength(unsigned: Buffer): number {
  const first = unsigned[0];
  return first === undefined ? 0 : unsigned.length * 8 - Math.clz32(first) + 24;
}

class ParsedPublicKey implements PublicKeyInfo {
  readonly algorithm: KeyAlgorithm;
  readonly bits: number;
  readonly rsa: PublicKeyInfo['rsa'];
  readonly #spki: Buffer;
  #keyObject: KeyObject | undefined;

  constructor(spki: Buffer, facts: Pick<PublicKeyInfo, 'algorithm' | 'bits' | 'rsa'>) {
    this.#spki = spki;
    this.algorithm = facts.algorithm;
    this.bits = facts.bits;
    this.rsa = facts.rsa;
  }

  get keyObject(): KeyObject {
    this.#keyObject ??= importKey(this.#spki);
    return this.#keyObject;
  }
}

function importKey(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (cause) {
    throw new SealwrightError('public_key_invalid', { reason: 'it is not a point of its curve' }, { cause });
  }
}

function invalid(reason: string): never {
  throw new SealwrightError('public_key_invalid', { reason });
}

function unsupported(got: string): never {
  throw new SealwrightError('public_key_unsupported', { got });
}
