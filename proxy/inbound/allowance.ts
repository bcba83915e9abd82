/** So many of something at a time, counted for all listeners of a sidecar together. */
export class Allowance {
  readonly #most: number;
  readonly #counts: Int32Array;
  readonly #own: number;

  /**
   * @param most 0 for any number
   * @param shared counts that several threads share, and which of them are this one's; see `sharedCounts`
   */
  constructor(most: number, shared?: { readonly counts: Int32Array; readonly thread: number }) {
    this.#most = most;
    this.#counts = shared?.counts ?? new Int32Array(2);
    this.#own = (shared?.thread ?? 0) + 1;
  }

  /** Of all threads. */
  get taken(): number {
    return Atomics.load(this.#counts, 0);
  }

  /** Whether there is one left; it is to be given back. */
  take(): boolean {
    const before = Atomics.add(this.#counts, 0, 1);
    if (this.#most > 0 && before >= this.#most) {
      Atomics.sub(this.#counts, 0, 1);
      return false;
    }
    Atomics.add(this.#counts, this.#own, 1);
    return true;
  }

  giveBack(): void {
    Atomics.sub(this.#counts, 0, 1);
    Atomics.sub(this.#counts, this.#own, 1);
  }
}

/** What so many threads have together at first, and after it what each has. */
export function sharedCounts(threads: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer((threads + 1) * Int32Array.BYTES_PER_ELEMENT));
}

/** Gives back what a thread had that has ended. */
export function giveBackOf(counts: Int32Array, thread: number): void {
  Atomics.sub(counts, 0, Atomics.exchange(counts, thread + 1, 0));
}
