import type { Clock, Timer } from '../../src/core/clock.ts';

interface Pending {
  readonly due: number;
  readonly call: () => void;
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #now: number;
  readonly #start: number;
  readonly #pending = new Set<Pending>();

  constructor(now: number | string = '2026-01-01T00:00:00Z') {
    this.#now = typeof now === 'string' ? Date.parse(now) : now;
    this.#start = this.#now;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#now - this.#start;
  }

  after(delay: number, call: () => void): Timer {
    return this.at(this.#now + delay, call);
  }

  at(time: number, call: () => void): Timer {
    const pending = { due: time, call };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** When the next timer is due, in wall milliseconds. */
  get nextDue(): number | undefined {
    const dues = [...this.#pending].map((pending) => pending.due);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** Whether something is due in exactly so many milliseconds. */
  waits(milliseconds: number): boolean {
    return [...this.#pending].some(({ due }) => due === this.#now + milliseconds);
  }

  /** Moves time on by `milliseconds`, calling what falls due in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const next = [...this.#pending].sort((a, b) => a.due - b.due)[0];
      if (next === undefined || next.due > end) break;
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.call();
    }
    this.#now = end;
  }
}
