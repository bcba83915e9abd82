import { COLON, CR, HTAB, isIn, LF, SP, TOKEN, VALUE } from './characters.ts';
import { recognise } from './field-names.ts';
import { MAX_FIELDS, type MessageHead } from './message-head.ts';
import { PROBLEM, type Problem } from './problems.ts';

export const READ = { more: 0, complete: 1, refused: 2 } as const;
export type ReadOutcome = (typeof READ)[keyof typeof READ];

const FIELD_START = 0;
const FIELD_NAME = 1;
const VALUE_START = 2;
const FIELD_VALUE = 3;
const VALUE_LF = 4;
const LAST_LF = 5;

/** First size of the buffer that keeps an unfinished head; most heads are below it. */
const FIRST_KEPT = 4096;

/**
 * Reads the fields of one head, strictly (RFC 9112 5), byte by byte and over any split of the bytes: a byte is looked
 * at once, so a head that drips in costs no more than one that comes whole. Bytes are copied only when a head comes in
 * several pieces. The start line is the subclass's.
 */
export abstract class HeadReader {
  readonly #head: MessageHead;
  readonly #maxBytes: number;
  #kept: Buffer | undefined;
  #keptLength = 0;
  #index = 0;
  #state = FIELD_START;
  #inStartLine = true;
  #mark = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #kind = 0;
  /** Where the bytes behind the head begin in the chunk that completed it. */
  consumed = 0;
  /** Why the head was refused. */
  problem: Problem = PROBLEM.fieldName;

  /** @param maxBytes longest head, start line and empty line included, in bytes */
  constructor(head: MessageHead, maxBytes: number) {
    this.#head = head;
    this.#maxBytes = maxBytes;
  }

  /** Reads the start line from `index`: where it ended, `stop` when it has not ended yet, -1 when refused. */
  protected abstract readStartLine(bytes: Buffer, index: number, stop: number): number;
  /** Set by the subclass when the start line has ended. */
  protected startLineDone = false;
  /** Called when positions noted by the subclass move. */
  protected abstract shiftStartLine(distance: number): void;
  protected abstract resetStartLine(): void;

  /** Whether a head has begun and not ended. */
  get begun(): boolean {
    return this.#keptLength > 0;
  }

  /** Makes ready for the next head. */
  reset(): void {
    this.#keptLength = 0;
    this.#index = 0;
    this.#state = FIELD_START;
    this.#inStartLine = true;
    this.startLineDone = false;
    this.#head.clear();
    // A large head must not hold its memory for as long as the connection lives.
    if (this.#kept !== undefined && this.#kept.length > FIRST_KEPT) this.#kept = undefined;
    this.resetStartLine();
  }

  /** Reads on at `from`; `end` is where the received bytes end. */
  read(chunk: Buffer, from: number, end: number): ReadOutcome {
    if (this.#keptLength === 0) {
      this.#head.bytes = chunk;
      this.#head.start = from;
      const outcome = this.#advance(chunk, from, end);
      if (outcome === READ.more) {
        if (end - this.#head.start > this.#maxBytes) return this.refuse(PROBLEM.tooLarge);
        this.#keep(chunk, this.#head.start, end);
        this.#index -= this.#head.start;
        this.shiftStartLine(-this.#head.start);
        this.#mark -= this.#head.start;
        this.#nameStart -= this.#head.start;
        this.#nameEnd -= this.#head.start;
        this.#head.shift(-this.#head.start);
      } else if (outcome === READ.complete) {
        if (this.#head.end - this.#head.start > this.#maxBytes) return this.refuse(PROBLEM.tooLarge);
        this.consumed = this.#head.end;
      }
      return outcome;
    }
    const before = this.#keptLength;
    const bytes = this.#keep(chunk, from, Math.min(end, from + this.#maxBytes + 1 - before));
    const outcome = this.#advance(bytes, this.#index, this.#keptLength);
    if (outcome === READ.more && this.#keptLength > this.#maxBytes) return this.refuse(PROBLEM.tooLarge);
    if (outcome === READ.complete) {
      if (this.#head.end > this.#maxBytes) return this.refuse(PROBLEM.tooLarge);
      this.consumed = from + this.#head.end - before;
    }
    return outcome;
  }

  protected refuse(problem: Problem): typeof READ.refused {
    this.problem = problem;
    return READ.refused;
  }

  protected refuseStartLine(problem: Problem): -1 {
    this.problem = problem;
    return -1;
  }

  /** The line feed that must follow: where the fields begin, or -1. */
  protected endStartLine(bytes: Buffer, index: number): number {
    if (bytes[index] !== LF) return this.refuseStartLine(PROBLEM.lineEnd);
    this.startLineDone = true;
    return index + 1;
  }

  #keep(chunk: Buffer, from: number, end: number): Buffer {
    const length = this.#keptLength + end - from;
    let kept = this.#kept;
    if (kept === undefined || kept.length < length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_KEPT, 2 ** Math.ceil(Math.log2(length))));
      kept?.copy(larger, 0, 0, this.#keptLength);
      this.#kept = kept = larger;
    }
    chunk.copy(kept, this.#keptLength, from, end);
    this.#keptLength = length;
    this.#head.bytes = kept;
    return kept;
  }

  #advance(bytes: Buffer, from: number, stop: number): ReadOutcome {
    let index = from;
    if (this.#inStartLine) {
      index = this.readStartLine(bytes, index, stop);
      if (index < 0) return READ.refused;
      if (!this.startLineDone) {
        this.#index = index;
        return READ.more;
      }
      this.#inStartLine = false;
      this.#head.fieldsStart = index;
    }
    const head = this.#head;
    let state = this.#state;
    let mark = this.#mark;
    while (index < stop) {
      switch (state) {
        case FIELD_START: {
          const byte = bytes[index];
          if (byte === CR) {
            state = LAST_LF;
            index += 1;
            break;
          }
          // A line that begins with whitespace would continue the one above it (RFC 9112 5.2), for some readers.
          if (byte === SP || byte === HTAB) return this.refuse(PROBLEM.foldedLine);
          if (byte === LF) return this.refuse(PROBLEM.lineEnd);
          if (head.count === MAX_FIELDS) return this.refuse(PROBLEM.tooMany);
          mark = index;
          state = FIELD_NAME;
          break;
        }
        case FIELD_NAME: {
          while (index < stop && isIn(bytes[index], TOKEN)) index += 1;
          if (index === stop) break;
          // Whitespace before the colon (RFC 9112 5.1) ends here too.
          if (bytes[index] !== COLON || index === mark) return this.refuse(PROBLEM.fieldName);
          this.#nameEnd = index;
          this.#kind = recognise(bytes, mark, index);
          this.#nameStart = mark;
          index += 1;
          state = VALUE_START;
          break;
        }
        case VALUE_START: {
          while (index < stop && (bytes[index] === SP || bytes[index] === HTAB)) index += 1;
          if (index === stop) break;
          mark = index;
          state = FIELD_VALUE;
          break;
        }
        case FIELD_VALUE: {
          while (index < stop && isIn(bytes[index], VALUE)) index += 1;
          if (index === stop) break;
          if (bytes[index] !== CR) {
            return this.refuse(bytes[index] === LF ? PROBLEM.lineEnd : PROBLEM.fieldValue);
          }
          index += 1;
          state = VALUE_LF;
          break;
        }
        case VALUE_LF: {
          if (bytes[index] !== LF) return this.refuse(PROBLEM.lineEnd);
          let valueEnd = index - 1;
          while (valueEnd > mark && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd -= 1;
          head.addField(this.#nameStart, this.#nameEnd, mark, valueEnd, this.#kind);
          index += 1;
          state = FIELD_START;
          break;
        }
        default: {
          if (bytes[index] !== LF) return this.refuse(PROBLEM.lineEnd);
          head.end = index + 1;
          return READ.complete;
        }
      }
    }
    this.#index = index;
    this.#state = state;
    this.#mark = mark;
    return READ.more;
  }
}
