import { CR, isIn, LF, METHOD, SP, TARGET } from './characters.ts';
import { HeadReader } from './head-reader.ts';
import { PROBLEM } from './problems.ts';
import { RequestHead } from './request-head.ts';
import { readVersion, versionEnd, VERSION_LENGTH } from './version.ts';

/** Envoy's `max_request_headers_kb`, start line included. */
const MAX_REQUEST_HEAD = 60 * 1024;
/** The longest registered method has 17 letters. */
const MAX_METHOD = 32;

const HYPHEN = 0x2d;

const BEGIN = 0;
const EMPTY_LINE_LF = 1;
const IN_METHOD = 2;
const IN_TARGET = 3;
const IN_VERSION = 4;
const LINE_LF = 5;

/** Reads request heads; what the fields mean together is judged by `checkRequest`. */
export class RequestReader extends HeadReader {
  readonly head: RequestHead;
  #state = BEGIN;
  #mark = 0;
  #emptyLineSeen = false;

  constructor(head: RequestHead = new RequestHead()) {
    super(head, MAX_REQUEST_HEAD);
    this.head = head;
  }

  /** Whether anything but the tolerated empty line was received of the next request. */
  protected override resetStartLine(): void {
    this.#state = BEGIN;
    this.#emptyLineSeen = false;
  }

  protected override shiftStartLine(distance: number): void {
    this.#mark += distance;
    this.head.shiftStartLine(distance);
  }

  protected override readStartLine(bytes: Buffer, from: number, stop: number): number {
    let index = from;
    while (index < stop) {
      switch (this.#state) {
        case BEGIN:
          // RFC 9112 2.2: one empty line before a request is forgiven, since some clients end a body with one.
          if (bytes[index] === CR && !this.#emptyLineSeen) {
            this.#emptyLineSeen = true;
            this.#state = EMPTY_LINE_LF;
            index += 1;
          } else {
            this.head.methodStart = index;
            this.#state = IN_METHOD;
          }
          break;
        case EMPTY_LINE_LF:
          if (bytes[index] !== LF) return this.refuseStartLine(PROBLEM.lineEnd);
          this.#state = BEGIN;
          index += 1;
          break;
        case IN_METHOD: {
          while (index < stop && isIn(bytes[index], METHOD)) index += 1;
          const length = index - this.head.methodStart;
          if (length > MAX_METHOD) return this.refuseStartLine(PROBLEM.method);
          if (index === stop) break;
          if (length === 0 || bytes[index] !== SP) return this.refuseStartLine(PROBLEM.method);
          if (bytes[this.head.methodStart] === HYPHEN) return this.refuseStartLine(PROBLEM.method);
          this.head.methodEnd = index;
          index += 1;
          this.head.targetStart = index;
          this.#state = IN_TARGET;
          break;
        }
        case IN_TARGET:
          while (index < stop && isIn(bytes[index], TARGET)) index += 1;
          if (index === stop) break;
          if (index === this.head.targetStart || bytes[index] !== SP) return this.refuseStartLine(PROBLEM.target);
          this.head.targetEnd = index;
          index += 1;
          this.#mark = index;
          this.#state = IN_VERSION;
          break;
        case IN_VERSION: {
          index = versionEnd(bytes, this.#mark, index, stop);
          if (index === stop && index - this.#mark <= VERSION_LENGTH) break;
          const minor = readVersion(bytes, this.#mark, index);
          if (typeof minor !== 'number') return this.refuseStartLine(minor);
          if (bytes[index] !== CR) return this.refuseStartLine(bytes[index] === LF ? PROBLEM.lineEnd : PROBLEM.version);
          this.head.minor = minor;
          index += 1;
          this.#state = LINE_LF;
          break;
        }
        default:
          return this.endStartLine(bytes, index);
      }
    }
    return index;
  }
}
