import type { Clock } from '../../src/core/clock.ts';

/** After so long without a write all is forgotten, in milliseconds. */
const QUIET = 15 * 60_000;

/** So many in a row are free: the one that made it, and two that put it right. */
const FREE = 3;

/** The wait after those, which doubles up to the longest. Milliseconds. */
const [FIRST_WAIT, LONGEST_WAIT] = [1_000, 5 * 60_000];

/** From so many writes in a row on, somebody writes against us and does not merely make a mistake. */
const CONTESTED = 6;

interface Writes {
  count: number;
  last: number;
}

/**
 * How often one object is put right. What somebody edits is put right at once, and once more; against a controller that
 * writes something else each time the waits grow, so that the two do not keep the API server busy.
 */
export class RepairPace {
  readonly #clock: Pick<Clock, 'elapsed'>;
  readonly #writes = new Map<string, Writes>();

  constructor(clock: Pick<Clock, 'elapsed'>) {
    this.#clock = clock;
  }

  /** How many milliseconds to wait before this object is written; 0 for none. */
  waitOf(key: string): number {
    const writes = this.#recent(key);
    if (writes === undefined || writes.count < FREE) return 0;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(writes.count - FREE, 20));
    return Math.max(0, writes.last + wait - this.#clock.elapsed());
  }

  wrote(key: string): void {
    this.#writes.set(key, { count: (this.#recent(key)?.count ?? 0) + 1, last: this.#clock.elapsed() });
  }

  isContested(key: string): boolean {
    return (this.#recent(key)?.count ?? 0) >= CONTESTED;
  }

  forget(key: string): void {
    this.#writes.delete(key);
  }

  #recent(key: string): Writes | undefined {
    const writes = this.#writes.get(key);
    if (writes === undefined || this.#clock.elapsed() - writes.last <= QUIET) return writes;
    this.#writes.delete(key);
    return undefined;
  }
}
