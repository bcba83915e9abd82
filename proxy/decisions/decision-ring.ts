import type { ConnectionFacts } from '../../src/policy/facts.ts';
import type { IpAddress } from '../../src/policy/ip-address.ts';
import type { Verdict } from '../../src/policy/verdict.ts';
import type { RequestHead } from '../http1/request-head.ts';

/** Bytes that texts of a decision have on the average: an id of 36, a host, a path. */
const BYTES_EACH = 256;
/** Bytes of one text; what is longer is cut and marked. */
const LONGEST = { id: 128, host: 256, path: 4_096, more: 8_192 } as const;
/** Below this a loop is cheaper than a call into the runtime. */
const SHORT = 96;

/** Where the texts of one decision begin in the bytes, and how long each is. */
const STRIDE = 5;
const ID_START = 'x-request-id: '.length;

/** Marks of one decision. */
const CUT = 1;
const TCP = 2;

/** What is kept of a decision beside its texts. */
export interface NotedParts {
  readonly connection: ConnectionFacts;
  readonly verdict: Verdict;
  /** The client behind a trusted proxy. */
  readonly client: IpAddress | undefined;
  /** Tells which policies judged. */
  readonly generation: number;
}

export interface NotedTexts {
  readonly id: string;
  readonly host: string;
  readonly path: string;
  readonly more: string;
}

/** One decision as it was kept. */
export interface NotedDecision extends NotedParts, NotedTexts {
  /** Wall milliseconds. */
  readonly time: number;
  /** Opaque connections have no method, host and path. */
  readonly protocol: 'http' | 'tcp';
  readonly method: string;
  /** Whether a text was longer than what is kept of it. */
  readonly cut: boolean;
}

/**
 * The last decisions, bounded in number and in bytes. A decision is written into arrays that were there before: noting
 * one allocates nothing, and so costs the garbage collector nothing. The oldest make place for the newest.
 */
export class DecisionRing {
  readonly #capacity: number;
  readonly #bytes: Buffer;
  readonly #times: Float64Array;
  readonly #places: Uint32Array;
  readonly #marks: Uint8Array;
  readonly #methods: string[];
  readonly #connections: (ConnectionFacts | undefined)[];
  readonly #verdicts: (Verdict | undefined)[];
  readonly #clients: (IpAddress | undefined)[];
  readonly #generations: Float64Array;
  /** Numbers of the oldest decision that is kept, and of the one to come; their places are these modulo the capacity. */
  #oldest = 0;
  #next = 0;
  #at = 0;

  /** @param capacity how many decisions are kept at most, at least 1; bytes are 256 for each */
  constructor(capacity: number) {
    this.#capacity = capacity;
    const bytes = Math.max(capacity * BYTES_EACH, 2 * (LONGEST.id + LONGEST.host + LONGEST.path + LONGEST.more));
    // Not zeroed: pages that nothing was written to cost no memory.
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
    this.#times = new Float64Array(capacity);
    this.#places = new Uint32Array(capacity * STRIDE);
    this.#marks = new Uint8Array(capacity);
    this.#generations = new Float64Array(capacity);
    this.#methods = Array.from({ length: capacity }, () => '');
    this.#connections = Array.from({ length: capacity }, () => undefined);
    this.#verdicts = Array.from({ length: capacity }, () => undefined);
    this.#clients = Array.from({ length: capacity }, () => undefined);
  }

  /** How many decisions are kept. */
  get size(): number {
    return this.#next - this.#oldest;
  }

  /** @param more further texts, as whoever reads them will understand */
  note(time: number, head: RequestHead, path: string, more: string, parts: NotedParts): void {
    const own = head.ownRequestId;
    const idBytes = own ?? head.bytes;
    const field = head.requestIdField;
    const idStart = own === undefined ? (field < 0 ? 0 : head.valueStart(field)) : ID_START;
    const idEnd = own === undefined ? (field < 0 ? 0 : head.valueEnd(field)) : own.length - 2;
    const hostStart = head.hostField < 0 ? 0 : head.valueStart(head.hostField);
    const hostEnd = head.hostField < 0 ? 0 : head.valueEnd(head.hostField);
    const id = Math.min(idEnd - idStart, LONGEST.id);
    const host = Math.min(hostEnd - hostStart, LONGEST.host);
    const target = Math.min(path.length, LONGEST.path);
    const moreLength = more === '' ? 0 : Buffer.byteLength(more);
    const extra = moreLength > LONGEST.more ? 0 : moreLength;

    const slot = this.#reserve(id + host + target + extra);
    let at = this.#at;
    const place = slot * STRIDE;
    const places = this.#places;
    places[place] = at;
    places[place + 1] = id;
    places[place + 2] = host;
    places[place + 3] = target;
    places[place + 4] = extra;
    at = this.#copy(idBytes, idStart, id, at);
    at = this.#copy(head.bytes, hostStart, host, at);
    at = this.#write(target === path.length ? path : path.slice(0, target), at);
    if (extra > 0) at += this.#bytes.write(more, at, 'utf8');
    this.#at = at;
    this.#methods[slot] = head.method.length > LONGEST.id ? '' : head.method;
    this.#marks[slot] = host < hostEnd - hostStart || target < path.length || extra < moreLength ? CUT : 0;
    this.#fill(slot, time, parts);
  }

  /** The same of a connection that is opaque TCP. @param id ASCII, at most 128 characters */
  noteConnection(time: number, id: string, parts: NotedParts): void {
    const slot = this.#reserve(id.length);
    const place = slot * STRIDE;
    this.#places[place] = this.#at;
    this.#places[place + 1] = id.length;
    this.#places.fill(0, place + 2, place + STRIDE);
    this.#at = this.#write(id, this.#at);
    this.#methods[slot] = '';
    this.#marks[slot] = TCP;
    this.#fill(slot, time, parts);
  }

  #fill(slot: number, time: number, parts: NotedParts): void {
    this.#times[slot] = time;
    this.#connections[slot] = parts.connection;
    this.#verdicts[slot] = parts.verdict;
    this.#clients[slot] = parts.client;
    this.#generations[slot] = parts.generation;
    this.#next += 1;
  }

  /** Those with this request id, newest first, at most `limit`. */
  find(id: string, limit: number): NotedDecision[] {
    const wanted = Buffer.from(id, 'latin1');
    const found: NotedDecision[] = [];
    for (let number = this.#next - 1; number >= this.#oldest && found.length < limit; number -= 1) {
      const place = (number % this.#capacity) * STRIDE;
      const at = this.#places[place] ?? 0;
      const length = this.#places[place + 1] ?? 0;
      if (length !== wanted.length || this.#bytes.compare(wanted, 0, length, at, at + length) !== 0) continue;
      const decision = this.#read(number % this.#capacity);
      if (decision !== undefined) found.push(decision);
    }
    return found;
  }

  /** The place for a decision whose texts have so many bytes; what was there is forgotten. */
  #reserve(length: number): number {
    if (this.#next - this.#oldest === this.#capacity) this.#forgetOldest();
    if (this.#at + length > this.#bytes.length) {
      // The oldest lie behind here; the texts of one decision are in one piece, so the end is left empty.
      while (this.#oldest < this.#next && this.#startOfOldest() >= this.#at) this.#forgetOldest();
      this.#at = 0;
    }
    while (this.#oldest < this.#next && this.#overlaps(this.#at, this.#at + length)) this.#forgetOldest();
    return this.#next % this.#capacity;
  }

  #startOfOldest(): number {
    return this.#places[(this.#oldest % this.#capacity) * STRIDE] ?? 0;
  }

  #overlaps(from: number, to: number): boolean {
    const place = (this.#oldest % this.#capacity) * STRIDE;
    const places = this.#places;
    const start = places[place] ?? 0;
    const length =
      (places[place + 1] ?? 0) + (places[place + 2] ?? 0) + (places[place + 3] ?? 0) + (places[place + 4] ?? 0);
    return start < to && from < start + length;
  }

  #forgetOldest(): void {
    const slot = this.#oldest % this.#capacity;
    this.#connections[slot] = undefined;
    this.#verdicts[slot] = undefined;
    this.#clients[slot] = undefined;
    this.#oldest += 1;
  }

  #copy(from: Buffer, start: number, length: number, at: number): number {
    const bytes = this.#bytes;
    if (length > SHORT) from.copy(bytes, at, start, start + length);
    else for (let index = 0; index < length; index += 1) bytes[at + index] = from[start + index] ?? 0;
    return at + length;
  }

  #write(text: string, at: number): number {
    const bytes = this.#bytes;
    if (text.length > SHORT) bytes.write(text, at, 'latin1');
    else for (let index = 0; index < text.length; index += 1) bytes[at + index] = text.charCodeAt(index);
    return at + text.length;
  }

  #read(slot: number): NotedDecision | undefined {
    const place = slot * STRIDE;
    const [connection, verdict] = [this.#connections[slot], this.#verdicts[slot]];
    if (connection === undefined || verdict === undefined) return undefined;
    let at = this.#places[place] ?? 0;
    const next = (index: number, encoding: 'latin1' | 'utf8'): string => {
      const length = this.#places[place + index] ?? 0;
      at += length;
      return this.#bytes.toString(encoding, at - length, at);
    };
    const id = next(1, 'latin1');
    const host = next(2, 'latin1');
    const path = next(3, 'latin1');
    const more = next(4, 'utf8');
    const marks = this.#marks[slot] ?? 0;
    return {
      time: this.#times[slot] ?? 0,
      id,
      method: this.#methods[slot] ?? '',
      host,
      path,
      more,
      protocol: marks & TCP ? 'tcp' : 'http',
      cut: (marks & CUT) !== 0,
      connection,
      verdict,
      client: this.#clients[slot],
      generation: this.#generations[slot] ?? 0,
    };
  }
}
