import type { Clock, Timer } from '../core/clock.ts';

/** One unbroken time of being the leader. It ends once and for all; leading again is another term. */
export interface LeaderTerm {
  /**
   * Whether acts are allowed at this very moment. Ask before each act, not once: a process that was stopped and goes on
   * finds its term over here before any timer of it has run.
   */
  readonly isCurrent: boolean;
  /** Aborted when the term is over, at the latest when its timer runs. */
  readonly signal: AbortSignal;
}

/** When what is renewed runs out, by two clocks. Milliseconds. */
interface Deadline {
  readonly elapsed: number;
  readonly wall: number;
}

/**
 * A term that lasts until a deadline, which each renewal moves on. The deadline counts from the moment at which the
 * renewal was sent, since nobody else can have seen it earlier; so it is over here before it is for anybody else.
 *
 * It is over when either clock says so: the steady one stands still while a machine sleeps, the wall clock does not; and
 * a wall clock that is set forward ends a term too soon, which harms nobody.
 */
export class HeldTerm implements LeaderTerm {
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  #deadline: Deadline;
  #timer: Timer | undefined;

  /** @param lasts milliseconds from `sent` */
  constructor(clock: Clock, sent: SentAt, lasts: number) {
    this.#clock = clock;
    this.#deadline = deadline(sent, lasts);
    this.#watch();
  }

  get isCurrent(): boolean {
    return !this.#ended.signal.aborted && this.#left() > 0;
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Moves the end on. A term that is over stays so. */
  renew(sent: SentAt, lasts: number): void {
    if (!this.isCurrent) this.end();
    else this.#deadline = deadline(sent, lasts);
  }

  end(): void {
    this.#timer?.cancel();
    this.#ended.abort();
  }

  #left(): number {
    const { elapsed, wall } = this.#deadline;
    return Math.min(elapsed - this.#clock.elapsed(), wall - this.#clock.now());
  }

  #watch(): void {
    this.#timer = this.#clock.after(Math.max(1, this.#left()), () => {
      if (this.isCurrent) this.#watch();
      else this.end();
    });
  }
}

/** The moment at which a request left, by both clocks. */
export interface SentAt {
  readonly elapsed: number;
  readonly wall: number;
}

export function momentOf(clock: Pick<Clock, 'now' | 'elapsed'>): SentAt {
  return { elapsed: clock.elapsed(), wall: clock.now() };
}

function deadline(sent: SentAt, lasts: number): Deadline {
  return { elapsed: sent.elapsed + lasts, wall: sent.wall + lasts };
}
