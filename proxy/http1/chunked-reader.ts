import { CR, HEX, isIn, LF, lower, VALUE } from './characters.ts';
import { READ } from './head-reader.ts';
import type { MessageHead } from './message-head.ts';
import { PROBLEM, type Problem } from './problems.ts';
import { TrailerReader } from './trailer-reader.ts';

/** Takes the parts of a body that are passed on. The bytes may be overwritten after the call. */
export interface BodySink {
  forward(bytes: Buffer, from: number, to: number): void;
  /** Of a chunked body the content alone, beside what is passed on of it. */
  content?(bytes: Buffer, from: number, to: number): void;
}

/** A chunk below 2^52 bytes: past it a size would no longer be exact. Leading zeros count as digits. */
const MAX_SIZE_DIGITS = 13;
/** Node's own limit, against messages that are nothing but extensions. Bytes a message. */
const MAX_EXTENSIONS = 16 * 1024;

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6;
const TRAILERS = 7;
const DONE = 8;

/**
 * Follows a chunked body (RFC 9112 7.1). Chunks are passed on as they came, sizes included; extensions are left out,
 * since they belong to one hop and readers differ about their syntax; trailers are held back until all are read and
 * found harmless.
 */
export class ChunkedReader {
  #state = SIZE;
  #digits = 0;
  #size = 0;
  #extensions = 0;
  #trailers: TrailerReader | undefined;
  #head: MessageHead | undefined;
  /** Bytes of data so far, without sizes and line ends. */
  received = 0;
  problem: Problem = PROBLEM.chunkSize;

  get done(): boolean {
    return this.#state === DONE;
  }

  begin(head?: MessageHead): void {
    this.#head = head;
    this.#state = SIZE;
    this.#digits = 0;
    this.#size = 0;
    this.#extensions = 0;
    this.#trailers = undefined;
    this.received = 0;
  }

  /** Reads on at `from`: where the body ended, `end` when it has not ended yet, -1 when it is refused. */
  consume(bytes: Buffer, from: number, end: number, sink: BodySink): number {
    let index = from;
    // What stands between `pass` and `index` is passed on; -1 while nothing is.
    let pass = this.#state === EXTENSION || this.#state === TRAILERS ? -1 : from;
    while (index < end) {
      switch (this.#state) {
        case SIZE: {
          const byte = bytes[index] ?? 0;
          if (isIn(byte, HEX)) {
            this.#digits += 1;
            if (this.#digits > MAX_SIZE_DIGITS) return this.#refuse(PROBLEM.chunkSize);
            this.#size = this.#size * 16 + (byte <= 0x39 ? byte - 0x30 : lower(byte) - 0x57);
            index += 1;
          } else if (this.#digits === 0) {
            return this.#refuse(PROBLEM.chunkSize);
          } else if (byte === CR) {
            index += 1;
            this.#state = SIZE_LF;
          } else if (byte === 0x3b) {
            if (pass < index) sink.forward(bytes, pass, index);
            pass = -1;
            this.#state = EXTENSION;
          } else {
            return this.#refuse(byte === LF ? PROBLEM.chunkEnd : PROBLEM.chunkSize);
          }
          break;
        }
        case EXTENSION: {
          const start = index;
          while (index < end && isIn(bytes[index], VALUE)) index += 1;
          this.#extensions += index - start;
          if (this.#extensions > MAX_EXTENSIONS) return this.#refuse(PROBLEM.chunkExtension);
          if (index === end) break;
          if (bytes[index] !== CR) return this.#refuse(PROBLEM.chunkExtension);
          pass = index;
          index += 1;
          this.#state = SIZE_LF;
          break;
        }
        case SIZE_LF:
          if (bytes[index] !== LF) return this.#refuse(PROBLEM.chunkEnd);
          index += 1;
          this.#digits = 0;
          this.#state = this.#size === 0 ? TRAILER_START : DATA;
          break;
        case DATA: {
          const taken = Math.min(this.#size, end - index);
          this.#size -= taken;
          this.received += taken;
          sink.content?.(bytes, index, index + taken);
          index += taken;
          if (this.#size === 0) this.#state = DATA_CR;
          break;
        }
        case DATA_CR:
          if (bytes[index] !== CR) return this.#refuse(PROBLEM.chunkEnd);
          index += 1;
          this.#state = DATA_LF;
          break;
        case DATA_LF:
          if (bytes[index] !== LF) return this.#refuse(PROBLEM.chunkEnd);
          index += 1;
          this.#state = SIZE;
          break;
        case TRAILER_START:
          if (bytes[index] === CR && index + 1 < end && bytes[index + 1] === LF) {
            // No trailers, as nearly always.
            sink.forward(bytes, pass, index + 2);
            this.#state = DONE;
            return index + 2;
          }
          if (pass < index) sink.forward(bytes, pass, index);
          pass = -1;
          this.#trailers = new TrailerReader();
          this.#state = TRAILERS;
          break;
        default: {
          const trailers = this.#trailers;
          const outcome = trailers?.read(bytes, index, end);
          if (trailers === undefined || outcome === READ.refused) return this.#refuse(PROBLEM.trailers);
          if (outcome === READ.more) return end;
          if (!trailers.harmless(this.#head)) return this.#refuse(PROBLEM.trailers);
          sink.forward(trailers.head.bytes, trailers.head.start, trailers.head.end);
          this.#trailers = undefined;
          this.#state = DONE;
          return trailers.consumed;
        }
      }
    }
    if (pass >= 0 && pass < index) sink.forward(bytes, pass, index);
    return index;
  }

  #refuse(problem: Problem): -1 {
    this.problem = problem;
    return -1;
  }
}
