import type { Clock } from '../../src/core/clock.ts';

export interface HandshakeLimits {
  /** Handshakes under way at once. */
  readonly atOnce: number;
  /** Connections that wait for theirs to begin; a thousand take about 4 MiB. */
  readonly waiting: number;
  /** Handshakes that begin in one turn of the event loop: each takes it half a millisecond from all others. */
  readonly perTurn: number;
  /** Milliseconds that a handshake is given while others wait. An honest one takes a few round trips. */
  readonly patience: number;
  /** Milliseconds that a handshake is given at all. Istio's gateways give as many. */
  readonly longest: number;
  /** Milliseconds that one waits at most. */
  readonly longestWait: number;
}

export const HANDSHAKE_LIMITS: HandshakeLimits = Object.freeze({
  atOnce: 256,
  waiting: 2_048,
  perTurn: 8,
  patience: 2_000,
  longest: 15_000,
  longestWait: 15_000,
});

/**
 * What one of so many threads has of them, rounded up. What a turn of the event loop may begin is a matter of each thread:
 * the others do not notice.
 */
export function shareOfHandshakes(threads: number, limits: HandshakeLimits = HANDSHAKE_LIMITS): HandshakeLimits {
  const { atOnce, waiting } = limits;
  return Object.freeze({ ...limits, atOnce: Math.ceil(atOnce / threads), waiting: Math.ceil(waiting / threads) });
}

/** A handshake that wants to begin. It ends by `leave`, or by `giveUp`, which is called by the gate. */
export interface Handshake {
  begin(): void;
  giveUp(reason: string): void;
}

/** How often is looked whether somebody's time is over, in milliseconds, while there is anybody. */
const CHECK_INTERVAL = 250;

/**
 * Lets handshakes begin a few at a time, so that a burst of them delays open connections by milliseconds, and bounds how
 * many there are: with those that begin and say no more, and with those that wait.
 */
export class HandshakeGate {
  readonly #clock: Clock;
  readonly #limits: HandshakeLimits;
  /** By when they began, and when they came; the oldest first. */
  readonly #running = new Map<Handshake, number>();
  readonly #waiting = new Map<Handshake, number>();
  #begun = 0;
  #turning = false;
  #checking = false;

  constructor(clock: Clock, limits: HandshakeLimits = HANDSHAKE_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  enter(handshake: Handshake): void {
    if (this.#waiting.size === 0 && this.#open) {
      this.#begin(handshake);
    } else if (this.#waiting.size < this.#limits.waiting) {
      this.#waiting.set(handshake, this.#clock.elapsed());
      this.#checkLater();
      this.#nextTurn();
    } else {
      handshake.giveUp('too many handshakes wait');
    }
  }

  /** It is over, or its peer has gone before it began. */
  leave(handshake: Handshake): void {
    if (this.#running.delete(handshake)) this.#nextTurn();
    else this.#waiting.delete(handshake);
  }

  get #open(): boolean {
    return this.#running.size < this.#limits.atOnce && this.#begun < this.#limits.perTurn;
  }

  #begin(handshake: Handshake): void {
    this.#begun += 1;
    this.#running.set(handshake, this.#clock.elapsed());
    this.#checkLater();
    if (!this.#turning) {
      this.#turning = true;
      setImmediate(this.#turn);
    }
    handshake.begin();
  }

  #nextTurn(): void {
    if (this.#turning || this.#waiting.size === 0 || this.#running.size >= this.#limits.atOnce) return;
    this.#turning = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turning = false;
    this.#begun = 0;
    for (const handshake of this.#waiting.keys()) {
      if (!this.#open) break;
      this.#waiting.delete(handshake);
      this.#begin(handshake);
    }
    this.#nextTurn();
  };

  #checkLater(): void {
    if (this.#checking) return;
    this.#checking = true;
    this.#clock.after(CHECK_INTERVAL, this.#check);
  }

  readonly #check = (): void => {
    this.#checking = false;
    const now = this.#clock.elapsed();
    for (const [handshake, since] of this.#waiting) {
      if (now - since < this.#limits.longestWait) break;
      this.#waiting.delete(handshake);
      handshake.giveUp('its handshake waited too long for others');
    }
    for (const [handshake, since] of this.#running) {
      if (now - since < this.#limits.longest) break;
      this.#running.delete(handshake);
      handshake.giveUp('the handshake took too long');
    }
    if (this.#waiting.size === 0) {
      if (this.#running.size > 0) this.#checkLater();
      return;
    }
    // Those that keep others waiting and say nothing, and no more of them than wait.
    const keep = this.#limits.atOnce - this.#waiting.size;
    for (const [handshake, since] of this.#running) {
      if (this.#running.size <= keep || now - since < this.#limits.patience) break;
      this.#running.delete(handshake);
      handshake.giveUp('the handshake took too long while others waited');
    }
    this.#nextTurn();
    this.#checkLater();
  };
}
