import { encodeOid } from './oid.ts';
import { constructedContext, primitiveContext, TAG } from './tags.ts';
import { encodeTime } from './time.ts';

/** One element: `tag`, minimal length, and the parts one after the other as its content. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const octets = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  const element = Buffer.allocUnsafe(2 + octets + length);
  element[0] = tag;
  if (octets === 0) {
    element[1] = length;
  } else {
    element[1] = 0x80 | octets;
    element.writeUIntBE(length, 2, octets);
  }
  let at = 2 + octets;
  for (const part of parts) {
    element.set(part, at);
    at += part.length;
  }
  return element;
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(TAG.sequence, ...parts);

/** X.690 11.6: in ascending order of the encodings. */
export const setOf = (...parts: readonly Uint8Array[]): Buffer =>
  tlv(TAG.set, ...[...parts].sort((a, b) => Buffer.compare(a, b)));

/** `[number]` around whole elements. */
export const context = (number: number, ...parts: readonly Uint8Array[]): Buffer =>
  tlv(constructedContext(number), ...parts);

/** `[number] IMPLICIT` of a primitive type. */
export const implicit = (number: number, content: Uint8Array): Buffer => tlv(primitiveContext(number), content);

/** An INTEGER of an unsigned big-endian number, made minimal, or of a small number. */
export function unsignedInteger(value: Uint8Array | number): Buffer {
  if (typeof value === 'number') {
    const digits = value.toString(16);
    return unsignedInteger(Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex'));
  }
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start += 1;
  const minimal = value.subarray(start);
  return (minimal[0] ?? 0xff) >= 0x80 ? tlv(TAG.integer, Buffer.of(0), minimal) : tlv(TAG.integer, minimal);
}

export const boolean = (value: boolean): Buffer => tlv(TAG.boolean, Buffer.of(value ? 0xff : 0x00));

export const oid = (text: string): Buffer => tlv(TAG.oid, encodeOid(text));

export const octetString = (content: Uint8Array): Buffer => tlv(TAG.octetString, content);

export const bitString = (bits: Uint8Array, unused = 0): Buffer => tlv(TAG.bitString, Buffer.of(unused), bits);

export const nullValue = (): Buffer => tlv(TAG.null);

export const utf8String = (text: string): Buffer => tlv(TAG.utf8String, Buffer.from(text, 'utf8'));

/** A UTCTime or GeneralizedTime of whole seconds, as RFC 5280 4.1.2.5 divides the years between them. */
export function time(milliseconds: number): Buffer {
  const { tag, text } = encodeTime(milliseconds);
  return tlv(tag, Buffer.from(text, 'latin1'));
}
