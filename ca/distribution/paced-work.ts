import type { Backoff } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { oneTurn, TURN, type Slices } from '../../src/policy/slices.ts';

export interface PacedWorkOptions {
  /** All that is to be done by now, a piece at a time. */
  readonly work: () => Slices<void>;
  /** Milliseconds of rest behind each work. */
  readonly rest: number;
  /** Told of each failure, with which the work is over until it is tried again. */
  readonly onFailure: (error: unknown) => void;
  /** How long work that failed rests at least before it is tried again, whether or not anybody asks for it. */
  readonly retry: Backoff;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
}

/** Milliseconds that a rest may be drawn out to. */
const LONGEST_REST = 300;

/**
 * Work that is asked for much more often than it should be done: the first time at once, and what is asked for meanwhile
 * together with all else after a rest, which is the longer the longer the work took, within bounds. It is done in turns
 * of the event loop, between which others have theirs. Work that failed is done again by itself: nobody may ask for it
 * any more.
 */
export class PacedWork {
  readonly #options: PacedWorkOptions;
  #state: 'idle' | 'waiting' | 'working' = 'idle';
  #asked = false;
  #restedAt = -Infinity;
  #timer: Timer | undefined;
  #turn: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(options: PacedWorkOptions) {
    this.#options = options;
  }

  ask(): void {
    if (this.#closed) return;
    this.#asked = true;
    if (this.#state !== 'idle') return;
    const wait = this.#restedAt - this.#options.clock.elapsed();
    if (wait <= 0) this.#begin();
    else this.#beginAfter(wait);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    if (this.#turn !== undefined) clearImmediate(this.#turn);
  }

  #beginAfter(wait: number): void {
    this.#state = 'waiting';
    this.#timer = this.#options.clock.after(wait, () => this.#begin());
  }

  #begin(): void {
    this.#state = 'working';
    this.#asked = false;
    this.#work(this.#options.work(), this.#options.clock.elapsed());
  }

  #work(slices: Slices<void>, began: number): void {
    const { clock, onFailure, retry } = this.#options;
    let delay = 0;
    try {
      if (oneTurn(slices, { elapsed: () => clock.elapsed(), budget: TURN }) === undefined) {
        this.#turn = setImmediate(() => this.#work(slices, began));
        return;
      }
      retry.reset();
    } catch (error) {
      onFailure(error);
      this.#asked = true;
      delay = retry.next();
    }
    this.#end(began, delay);
  }

  #end(began: number, delay: number): void {
    const { clock, rest } = this.#options;
    const now = clock.elapsed();
    const wait = Math.max(delay, Math.min(LONGEST_REST, Math.max(rest, now - began)));
    this.#restedAt = now + wait;
    this.#state = 'idle';
    if (this.#asked) this.ask();
  }
}
