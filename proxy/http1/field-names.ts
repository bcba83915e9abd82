import { equalsFolded, equalsIgnoringCase } from './characters.ts';

/** The fields that the engine itself must understand; every other one is passed on unread. */
export const FIELD = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  upgrade: 7,
  te: 8,
  expect: 9,
  /** Looks like a framing field to a lax reader (`Content_Length`) and is none: refused. */
  lookalike: 10,
  /** The one field that the engine reads and nobody else's framing depends on: it names the request in logs. */
  requestId: 11,
} as const;

/** Says which of the engine's own fields the name from `start` to `end` is. */
export function recognise(bytes: Uint8Array, start: number, end: number): number {
  // By length first: nearly every field is told apart without comparing a byte.
  switch (end - start) {
    case 2:
      return equalsIgnoringCase(bytes, start, end, 'te') ? FIELD.te : FIELD.other;
    case 4:
      return equalsIgnoringCase(bytes, start, end, 'host') ? FIELD.host : FIELD.other;
    case 6:
      return equalsIgnoringCase(bytes, start, end, 'expect') ? FIELD.expect : FIELD.other;
    case 7:
      return equalsIgnoringCase(bytes, start, end, 'upgrade') ? FIELD.upgrade : FIELD.other;
    case 10:
      if (equalsIgnoringCase(bytes, start, end, 'connection')) return FIELD.connection;
      return equalsIgnoringCase(bytes, start, end, 'keep-alive') ? FIELD.keepAlive : FIELD.other;
    case 12:
      return equalsIgnoringCase(bytes, start, end, 'x-request-id') ? FIELD.requestId : FIELD.other;
    case 14:
      if (equalsIgnoringCase(bytes, start, end, 'content-length')) return FIELD.contentLength;
      return equalsFolded(bytes, start, end, 'content-length') ? FIELD.lookalike : FIELD.other;
    case 16:
      return equalsIgnoringCase(bytes, start, end, 'proxy-connection') ? FIELD.proxyConnection : FIELD.other;
    case 17:
      if (equalsIgnoringCase(bytes, start, end, 'transfer-encoding')) return FIELD.transferEncoding;
      return equalsFolded(bytes, start, end, 'transfer-encoding') ? FIELD.lookalike : FIELD.other;
    default:
      return FIELD.other;
  }
}

/** A set of field names, compiled once, asked for every field of every message. */
export class FieldNameSet {
  static readonly none = new FieldNameSet([]);

  readonly #names: readonly string[];
  /** By length of the name. */
  readonly #byLength: readonly (readonly string[] | undefined)[];

  /**
   * @param names in any case. A field is in the set also where only a lax reader would take it for one of these
   *   (`x_forwarded_client_cert`): what is stripped must not come back through a gateway interface.
   */
  constructor(names: readonly string[]) {
    this.#names = names;
    const byLength: string[][] = [];
    for (const name of names) {
      const folded = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
      (byLength[folded.length] ??= []).push(folded);
    }
    this.#byLength = byLength;
  }

  /** Both sets in one. */
  with(other: FieldNameSet): FieldNameSet {
    if (other.#names.length === 0) return this;
    return this.#names.length === 0 ? other : new FieldNameSet([...this.#names, ...other.#names]);
  }

  has(bytes: Uint8Array, start: number, end: number): boolean {
    const names = this.#byLength[end - start];
    if (names === undefined) return false;
    for (const name of names) if (equalsFolded(bytes, start, end, name)) return true;
    return false;
  }
}
