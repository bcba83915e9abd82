import { SealwrightError } from '../../core/errors.ts';
import { decodeOid } from './oid.ts';
import { TAG } from './tags.ts';
import { decodeTime } from './time.ts';

/** More than any certificate or CSR of this field needs; what a peer sends is bounded before it is read. */
export const LONGEST_DER = 64 * 1024;

/** A certificate nests to about nine levels. */
const DEEPEST = 24;

/**
 * A cursor over strict DER (X.690 10 and 11): definite and minimal lengths, minimal integers, booleans of 00 or ff,
 * sorted sets. It repairs nothing: what has two encodings would have two fingerprints and two readings.
 * Every method reads the next element and moves past it, or throws `der_invalid` with the reason and the offset.
 */
export class DerReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #depth: number;
  #at: number;

  private constructor(bytes: Buffer, place: { at: number; end: number; depth: number }) {
    this.#bytes = bytes;
    this.#at = place.at;
    this.#end = place.end;
    this.#depth = place.depth;
  }

  /** Reads `bytes`, of which the caller must consume everything: see `end`. */
  static over(bytes: Buffer): DerReader {
    if (bytes.length > LONGEST_DER) {
      throw new SealwrightError('der_invalid', { reason: `longer than ${LONGEST_DER} bytes`, offset: 0 });
    }
    return new DerReader(bytes, { at: 0, end: bytes.length, depth: 0 });
  }

  /** Where the next element begins; for `since`. */
  get position(): number {
    return this.#at;
  }

  get atEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** The identifier octet of the next element, 0 when there is none (0 never begins an element of DER). */
  get nextTag(): number {
    return this.atEnd ? 0 : this.#octet(this.#at);
  }

  /** The bytes from `start` to where the cursor stands. */
  since(start: number): Buffer {
    return this.#bytes.subarray(start, this.#at);
  }

  /** Refuses anything that follows. */
  end(): void {
    if (!this.atEnd) this.#refuse('trailing bytes');
  }

  sequence(): DerReader {
    return this.constructed(TAG.sequence);
  }

  /** A SET OF: its elements must be in ascending order of their encodings (X.690 11.6). */
  setOf(): DerReader {
    const set = this.constructed(TAG.set);
    const order = new DerReader(this.#bytes, { at: set.#at, end: set.#end, depth: set.#depth });
    let last: Buffer | undefined;
    while (!order.atEnd) {
      const next = order.element();
      if (last !== undefined && Buffer.compare(last, next) > 0) order.#refuse('the elements of a set are not sorted');
      last = next;
    }
    return set;
  }

  /** An element that holds others, as a cursor of its own over them. */
  constructed(tag: number): DerReader {
    const end = this.#enter(tag);
    if (this.#depth >= DEEPEST) this.#refuse('nested too deeply');
    const inner = new DerReader(this.#bytes, { at: this.#at, end, depth: this.#depth + 1 });
    this.#at = end;
    return inner;
  }

  /** The content of an element that is not looked into. */
  primitive(tag: number): Buffer {
    const end = this.#enter(tag);
    const content = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return content;
  }

  /** The whole next element with its header. Its inside has not been looked at: see `walk`. */
  element(): Buffer {
    const start = this.#at;
    this.#at = this.#enter(this.nextTag);
    return this.since(start);
  }

  /** The content of an INTEGER, two's complement, minimal (X.690 8.3.2). */
  integer(tag: number = TAG.integer): Buffer {
    const start = this.#at;
    const content = this.primitive(tag);
    const [first, second = 0] = content;
    if (first === undefined) return this.#refuse('an integer without content', start);
    const padded = content.length > 1 && ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80));
    if (padded) this.#refuse('the integer is not minimal', start);
    return content;
  }

  /** An INTEGER from 0 to 2^31 - 1. */
  smallInteger(): number {
    const start = this.#at;
    const content = this.integer();
    if (content.length > 4 || (content[0] ?? 0) >= 0x80) return this.#refuse('the integer is out of range', start);
    return content.readUIntBE(0, content.length);
  }

  boolean(): boolean {
    const start = this.#at;
    const content = this.primitive(TAG.boolean);
    const value = content[0];
    if (content.length !== 1 || (value !== 0x00 && value !== 0xff)) {
      return this.#refuse('the boolean is neither 00 nor ff', start);
    }
    return value === 0xff;
  }

  /** A BOOLEAN DEFAULT FALSE: absent means false, and an explicit false is not DER (X.690 11.5). */
  optionalTrue(): boolean {
    if (this.nextTag !== TAG.boolean) return false;
    const start = this.#at;
    return this.boolean() || this.#refuse('the default value false is encoded', start);
  }

  /** An OBJECT IDENTIFIER in its dotted form. */
  oid(tag: number = TAG.oid): string {
    const start = this.#at;
    const end = this.#enter(tag);
    const text = decodeOid(this.#bytes, this.#at, end);
    if (text === undefined) return this.#refuse('the object identifier is malformed', start);
    this.#at = end;
    return text;
  }

  octetString(): Buffer {
    return this.primitive(TAG.octetString);
  }

  /** A BIT STRING of whole octets: a key or a signature. */
  octetsOfBitString(): Buffer {
    const start = this.#at;
    const { unused, bits } = this.bitString();
    return unused === 0 ? bits : this.#refuse('the bit string is not of whole octets', start);
  }

  bitString(): { readonly unused: number; readonly bits: Buffer } {
    const start = this.#at;
    const content = this.primitive(TAG.bitString);
    const unused = content[0];
    if (unused === undefined || unused > 7) return this.#refuse('the bit string is malformed', start);
    const last = content.length > 1 ? (content.at(-1) ?? 0) : undefined;
    if (last === undefined ? unused > 0 : (last & ((1 << unused) - 1)) !== 0) {
      return this.#refuse('the unused bits of the bit string are not zero', start);
    }
    return { unused, bits: content.subarray(1) };
  }

  null(): void {
    const start = this.#at;
    if (this.primitive(TAG.null).length > 0) this.#refuse('the null has content', start);
  }

  /**
   * A UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 wants them: UTC, with seconds, without fractions, and in the
   * form that belongs to the year. Milliseconds since 1970.
   */
  time(): number {
    const start = this.#at;
    const tag = this.nextTag;
    if (tag !== TAG.utcTime && tag !== TAG.generalizedTime) return this.#refuse('a time was expected', start);
    const time = decodeTime(tag, this.primitive(tag).toString('latin1'));
    return time ?? this.#refuse('the time is not one of RFC 5280 4.1.2.5', start);
  }

  /** Goes through everything that is left, at every depth, for values whose grammar is not ours to know. */
  walk(): void {
    while (!this.atEnd) {
      const tag = this.nextTag;
      if (tag === TAG.set) this.setOf().walk();
      else if ((tag & 0x20) !== 0) this.constructed(tag).walk();
      else if (tag === TAG.boolean) this.boolean();
      else if (tag === TAG.integer) this.integer();
      else if (tag === TAG.bitString) this.bitString();
      else if (tag === TAG.null) this.null();
      else if (tag === TAG.oid) this.oid();
      else this.primitive(tag);
    }
  }

  /** Reads the header of the next element and answers where its content ends. */
  #enter(tag: number): number {
    const start = this.#at;
    const found = this.nextTag;
    if (found !== tag || tag === 0) {
      return this.#refuse(this.atEnd ? `${hex(tag)} was expected, nothing follows` : `${hex(tag)} was expected`, start);
    }
    // Numbers above 30 take several octets; nothing in X.509 has one.
    if ((tag & 0x1f) === 0x1f) return this.#refuse('the tag has more than one octet', start);
    // X.690 10.2: of the universal types only these two are constructed in DER.
    if ((tag & 0xe0) === 0x20 && tag !== TAG.sequence && tag !== TAG.set) {
      return this.#refuse('a constructed string', start);
    }
    let at = start + 1;
    if (at >= this.#end) return this.#refuse('truncated', start);
    let length = this.#octet(at);
    at += 1;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0) return this.#refuse('the length is indefinite', start);
      if (octets > 3) return this.#refuse('the length is too large', start);
      if (at + octets > this.#end) return this.#refuse('truncated', start);
      length = this.#bytes.readUIntBE(at, octets);
      at += octets;
      if (length < 0x80 || length < 2 ** (8 * (octets - 1))) return this.#refuse('the length is not minimal', start);
    }
    if (at + length > this.#end) return this.#refuse('the element is longer than what holds it', start);
    this.#at = at;
    return at + length;
  }

  #octet(at: number): number {
    return this.#bytes[at] ?? 0;
  }

  #refuse(reason: string, offset: number = this.#at): never {
    throw new SealwrightError('der_invalid', { reason, offset });
  }
}

const hex = (tag: number): string => `tag ${tag.toString(16).padStart(2, '0')}`;
