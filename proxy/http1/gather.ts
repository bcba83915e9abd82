import type { BodySink } from './chunked-reader.ts';

/** Gathers what one step sends, head and body, into one buffer and so into one write. It copies. */
export class Gather implements BodySink {
  #out: Buffer | undefined;
  #at = 0;

  /** Begins with `room` bytes; the head is written into the buffer returned, and `wrote` says where it ends. */
  begin(room: number): Buffer {
    this.#at = 0;
    this.#out = Buffer.allocUnsafe(room);
    return this.#out;
  }

  wrote(end: number): void {
    this.#at = end;
  }

  forward(bytes: Buffer, from: number, to: number): void {
    let out = this.#out;
    if (out === undefined || this.#at + to - from > out.length) {
      // Trailers that were held back can be longer than what was received last.
      const larger = Buffer.allocUnsafe(this.#at + to - from);
      out?.copy(larger, 0, 0, this.#at);
      this.#out = out = larger;
    }
    this.#at += bytes.copy(out, this.#at, from, to);
  }

  /** What was gathered; undefined when nothing was. */
  take(): Buffer | undefined {
    const out = this.#out;
    this.#out = undefined;
    return out === undefined || this.#at === 0 ? undefined : out.subarray(0, this.#at);
  }
}
