import { joinedHeader, withLine, type HeaderValue } from '../../src/policy/header-value.ts';
import { equalsIgnoringCase, SP } from './characters.ts';
import type { FieldNameSet } from './field-names.ts';

/** Envoy's `max_headers_count`: more fields are answered with 431. */
export const MAX_FIELDS = 100;

const NO_BYTES = Buffer.alloc(0);

/** Fields that there is room for at first: more than nearly all heads have, since an idle connection keeps it. */
const FIRST_ROOM = 24;

/** Where the four edges of a field stand in `edges`. */
const STRIDE = 4;

/**
 * The head of one message as it was received: the bytes, and where each part stands in them. One object serves all
 * messages of a connection; what it says is valid until the exchange is over. Nothing is made into a string before
 * somebody asks for it.
 */
export class MessageHead {
  bytes: Buffer = NO_BYTES;
  /** First byte of the head in `bytes`. */
  start = 0;
  /** First byte behind the head, that is behind its empty line. */
  end = 0;
  /** First byte behind the start line, its CRLF included. */
  fieldsStart = 0;
  /** Number of fields. */
  count = 0;
  /** Of each field: start and end of the name, start and end of the value without the whitespace around it. */
  edges: Uint32Array;
  /** Of each field: which of the engine's own it is (`FIELD`). */
  kinds: Uint8Array;
  /** Of each field: 1 when it ends at this hop and is not passed on (RFC 9110 7.6.1). */
  dropped: Uint8Array;
  /** The y of HTTP/1.y: 0 or 1. */
  minor = 1;
  readonly #takenOut: FieldNameSet[] = [];
  #room = FIRST_ROOM;

  constructor() {
    [this.edges, this.kinds, this.dropped] = arraysFor(FIRST_ROOM);
  }

  nameStart(field: number): number {
    return this.edges[field * STRIDE] ?? 0;
  }

  nameEnd(field: number): number {
    return this.edges[field * STRIDE + 1] ?? 0;
  }

  valueStart(field: number): number {
    return this.edges[field * STRIDE + 2] ?? 0;
  }

  valueEnd(field: number): number {
    return this.edges[field * STRIDE + 3] ?? 0;
  }

  addField(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, kind: number): void {
    if (this.count === this.#room) this.#grow();
    const at = this.count * STRIDE;
    this.edges[at] = nameStart;
    this.edges[at + 1] = nameEnd;
    this.edges[at + 2] = valueStart;
    this.edges[at + 3] = valueEnd;
    this.kinds[this.count] = kind;
    this.dropped[this.count] = 0;
    this.count += 1;
  }

  /** The first byte of a field's line, which is the first of its name. */
  lineStart(field: number): number {
    return this.nameStart(field);
  }

  /** The first byte behind a field's line. */
  lineEnd(field: number): number {
    return field + 1 < this.count ? this.nameStart(field + 1) : this.end - 2;
  }

  /** The name as it was written. */
  name(field: number): string {
    return this.bytes.toString('latin1', this.nameStart(field), this.nameEnd(field));
  }

  /** The value as it was written, one character a byte, without whitespace around it. */
  value(field: number): string {
    return this.bytes.toString('latin1', this.valueStart(field), this.valueEnd(field));
  }

  /**
   * Whether nothing but spaces before it stands around the value. A tab, or anything behind it, is legal whitespace
   * (RFC 9110 5.5) that lax readers take for a part of the value: Node refuses `Transfer-Encoding:<tab>chunked`, and
   * Python's `email` parser, which its HTTP servers use, keeps the space behind `chunked`.
   */
  isTight(field: number): boolean {
    for (let at = this.nameEnd(field) + 1; at < this.valueStart(field); at += 1) {
      if (this.bytes[at] !== SP) return false;
    }
    return this.valueEnd(field) === this.lineEnd(field) - 2;
  }

  /** Whether the value is `text`, which is in lower case, whatever its case. */
  valueIs(field: number, text: string): boolean {
    return equalsIgnoringCase(this.bytes, this.valueStart(field), this.valueEnd(field), text);
  }

  /**
   * The value of a field that the application will receive, by its name in lower case; repeated fields joined by a
   * comma. Undefined when there is none.
   */
  get(name: string): string | undefined {
    return joinedHeader(this.lines(name));
  }

  /** The same, each line of a repeated field by itself. */
  lines(name: string): HeaderValue {
    let found: HeaderValue;
    for (let field = 0; field < this.count; field += 1) {
      if (this.dropped[field] === 1) continue;
      if (!equalsIgnoringCase(this.bytes, this.nameStart(field), this.nameEnd(field), name)) continue;
      found = withLine(found, this.value(field));
    }
    return found;
  }

  has(name: string): boolean {
    for (let field = 0; field < this.count; field += 1) {
      if (this.dropped[field] === 1) continue;
      if (equalsIgnoringCase(this.bytes, this.nameStart(field), this.nameEnd(field), name)) return true;
    }
    return false;
  }

  /** Takes fields out of what is passed on, and so out of what `get` and `has` see: policy judges what is passed on. */
  drop(names: FieldNameSet): void {
    this.#takenOut.push(names);
    for (let field = 0; field < this.count; field += 1) {
      if (names.has(this.bytes, this.nameStart(field), this.nameEnd(field))) this.dropped[field] = 1;
    }
  }

  /** Whether fields of this name are taken out: then they must not come behind the body either (invariant 6). */
  takesOut(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#takenOut.some((names) => names.has(bytes, start, end));
  }

  /** Lets go of the last message, so that an idle connection does not hold what it once received. */
  clear(): void {
    this.bytes = NO_BYTES;
    this.count = 0;
    this.#takenOut.length = 0;
  }

  /** Moves every position by `distance`: the bytes were copied elsewhere. */
  shift(distance: number): void {
    this.start += distance;
    this.fieldsStart += distance;
    for (let at = 0; at < this.count * STRIDE; at += 1) this.edges[at] = (this.edges[at] ?? 0) + distance;
  }

  #grow(): void {
    const { edges, kinds, dropped } = this;
    this.#room = MAX_FIELDS;
    [this.edges, this.kinds, this.dropped] = arraysFor(MAX_FIELDS);
    this.edges.set(edges);
    this.kinds.set(kinds);
    this.dropped.set(dropped);
  }
}

/** All three in one piece of memory: each would take a quarter of a KiB for itself. */
function arraysFor(fields: number): [Uint32Array, Uint8Array, Uint8Array] {
  const edges = fields * STRIDE * Uint32Array.BYTES_PER_ELEMENT;
  const memory = new ArrayBuffer(edges + 2 * fields);
  return [
    new Uint32Array(memory, 0, fields * STRIDE),
    new Uint8Array(memory, edges, fields),
    new Uint8Array(memory, edges + fields, fields),
  ];
}
