import { createRandomPool } from '../../src/core/random-pool.ts';
import { FieldNameSet } from './field-names.ts';
import type { RequestHead } from './request-head.ts';

/** Every spelling of the field, so that a reader behind us finds one id and no other. */
const NAMES = new FieldNameSet(['x-request-id']);

/** As many characters as an id from elsewhere may have: it is written into logs and answers. */
const LONGEST = 128;

/** Characters of ids in use (UUIDs, ULIDs, base64, `1-5759e988-bd862e3fe1be46a994272793`), none of which needs quoting. */
const ALLOWED = allowedCharacters();

const UUID_BYTES = 16;
const TEMPLATE = Buffer.from('x-request-id: 00000000-0000-4000-8000-000000000000\r\n', 'latin1');
const UUID_START = 'x-request-id: '.length;
/** The hexadecimal digits of each byte, as they are written: the first in the low half. */
const DIGITS = Uint16Array.from({ length: 256 }, (_, byte) => {
  const text = byte.toString(16).padStart(2, '0');
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8);
});
/** Where the two digits of each byte of a UUID stand in its text (RFC 9562 4). */
const PLACES = Uint8Array.from([0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34], (at) => UUID_START + at);

/** Names requests: makes `x-request-id` fields, and judges those of others. */
export class RequestIds {
  readonly #random: (size: number) => Buffer;

  constructor(randomBytes: (size: number) => Buffer) {
    this.#random = createRandomPool(randomBytes);
  }

  /** The line of one connection; every request of it that needs an id gets it written anew. */
  line(): Buffer {
    return Buffer.from(TEMPLATE);
  }

  /** Gives a request a fresh id (a UUID of version 4) in the place of whatever it had. */
  give(head: RequestHead, line: Buffer): void {
    head.drop(NAMES);
    const bytes = this.#random(UUID_BYTES);
    for (let index = 0; index < UUID_BYTES; index += 1) {
      let byte = bytes[index] ?? 0;
      if (index === 6) byte = (byte & 0x0f) | 0x40;
      else if (index === 8) byte = (byte & 0x3f) | 0x80;
      const digits = DIGITS[byte] ?? 0;
      const at = PLACES[index] ?? 0;
      line[at] = digits & 0xff;
      line[at + 1] = digits >> 8;
    }
    head.ownRequestId = line;
  }

  /** Whether the request has one id that may be written into a log. */
  isNamed(head: RequestHead): boolean {
    const field = head.requestIdField;
    if (field < 0) return false;
    const [start, end] = [head.valueStart(field), head.valueEnd(field)];
    if (end === start || end - start > LONGEST) return false;
    for (let at = start; at < end; at += 1) if (ALLOWED[head.bytes[at] ?? 0] !== 1) return false;
    return true;
  }
}

function allowedCharacters(): Uint8Array {
  const table = new Uint8Array(256);
  for (let code = 0; code < 128; code += 1) {
    if (/[A-Za-z0-9._:=/+-]/.test(String.fromCharCode(code))) table[code] = 1;
  }
  return table;
}

/**
 * By which name an exchange stands in our log, for whoever is answered by us; undefined where it has none, or one that
 * must not be written anywhere.
 */
export function requestIdLine({ requestId }: Pick<RequestHead, 'requestId'>): Buffer | undefined {
  return isRequestId(requestId) ? Buffer.from(`x-request-id: ${requestId}\r\n`, 'latin1') : undefined;
}

/** Whether somebody may be asked about this id: the same characters and length as of those that are kept. */
export function isRequestId(text: string): boolean {
  return text.length <= LONGEST && /^[A-Za-z0-9._:=/+-]+$/.test(text);
}
