import type { Clock } from '../../src/core/clock.ts';

/** Spreads writes evenly: so many a second, and none late where there are few. */
export class WriteTurns {
  readonly #clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly #interval: number;
  #next = 0;

  constructor(clock: Pick<Clock, 'elapsed' | 'after'>, perSecond: number) {
    this.#clock = clock;
    this.#interval = 1_000 / perSecond;
  }

  /** Resolves when the next write may be sent. */
  async turn(): Promise<void> {
    const now = this.#clock.elapsed();
    const at = Math.max(now, this.#next);
    this.#next = at + this.#interval;
    if (at > now) await new Promise<void>((resolve) => this.#clock.after(at - now, resolve));
  }
}
