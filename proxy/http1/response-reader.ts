import { CR, DIGIT, isIn, LF, SP, VALUE } from './characters.ts';
import { HeadReader } from './head-reader.ts';
import { PROBLEM } from './problems.ts';
import { ResponseHead } from './response-head.ts';
import { readVersion, versionEnd, VERSION_LENGTH } from './version.ts';

/** Envoy's limit for the head of an HTTP/1 response. */
const MAX_RESPONSE_HEAD = 80 * 1024;

const IN_VERSION = 0;
const IN_STATUS = 1;
const AFTER_STATUS = 2;
const IN_REASON = 3;
const LINE_LF = 4;

/** Reads response heads, as strictly as those of requests: the two desynchronise a connection alike. */
export class ResponseReader extends HeadReader {
  readonly head: ResponseHead;
  #state = IN_VERSION;
  #mark = -1;
  #digits = 0;

  constructor(head: ResponseHead = new ResponseHead()) {
    super(head, MAX_RESPONSE_HEAD);
    this.head = head;
  }

  protected override resetStartLine(): void {
    this.#state = IN_VERSION;
    this.#mark = -1;
    this.#digits = 0;
    this.head.status = 0;
  }

  protected override shiftStartLine(distance: number): void {
    this.#mark += distance;
  }

  protected override readStartLine(bytes: Buffer, from: number, stop: number): number {
    let index = from;
    if (this.#mark < 0) this.#mark = from;
    while (index < stop) {
      switch (this.#state) {
        case IN_VERSION: {
          index = versionEnd(bytes, this.#mark, index, stop);
          if (index === stop && index - this.#mark <= VERSION_LENGTH) break;
          const minor = readVersion(bytes, this.#mark, index);
          if (typeof minor !== 'number' || bytes[index] !== SP) return this.refuseStartLine(PROBLEM.version);
          this.head.minor = minor;
          index += 1;
          this.#state = IN_STATUS;
          break;
        }
        case IN_STATUS: {
          const byte = bytes[index];
          if (byte === undefined || !isIn(byte, DIGIT)) return this.refuseStartLine(PROBLEM.statusLine);
          this.head.status = this.head.status * 10 + byte - 0x30;
          index += 1;
          this.#digits += 1;
          if (this.#digits < 3) break;
          if (this.head.status < 100 || this.head.status > 599) return this.refuseStartLine(PROBLEM.statusLine);
          this.#state = AFTER_STATUS;
          break;
        }
        case AFTER_STATUS:
          // The space belongs there even before an empty reason (RFC 9112 4), but many servers leave both out.
          if (bytes[index] === SP) this.#state = IN_REASON;
          else if (bytes[index] === CR) this.#state = LINE_LF;
          else return this.refuseStartLine(PROBLEM.statusLine);
          index += 1;
          break;
        case IN_REASON:
          while (index < stop && isIn(bytes[index], VALUE)) index += 1;
          if (index === stop) break;
          if (bytes[index] !== CR)
            return this.refuseStartLine(bytes[index] === LF ? PROBLEM.lineEnd : PROBLEM.statusLine);
          index += 1;
          this.#state = LINE_LF;
          break;
        default:
          return this.endStartLine(bytes, index);
      }
    }
    return index;
  }
}
