/**
 * How many lines of the access log each thread has written that have not come to the main thread, counted in memory that
 * both see: a thread that is ended takes them along, and can tell nobody.
 */
export class LineCounts {
  readonly #counts: Int32Array<SharedArrayBuffer>;

  constructor(counts: Int32Array<SharedArrayBuffer>) {
    this.#counts = counts;
  }

  static shared(threads: number): Int32Array<SharedArrayBuffer> {
    return new Int32Array(new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT));
  }

  wrote(thread: number): void {
    Atomics.add(this.#counts, thread, 1);
  }

  came(thread: number, lines: number): void {
    Atomics.sub(this.#counts, thread, lines);
  }

  /** Of a thread that has ended: how many never will. */
  lost(thread: number): number {
    return Atomics.exchange(this.#counts, thread, 0);
  }
}
