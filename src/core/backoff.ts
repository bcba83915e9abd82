/** A number in [0, 1), as `Math.random` gives: passed in, so that a test can choose it. */
export type Random = () => number;

export interface BackoffOptions {
  /** Upper bound of the first delay, in milliseconds. */
  readonly initial: number;
  /** Upper bound of every delay, in milliseconds. */
  readonly max: number;
  readonly random: Random;
}

/**
 * Exponential backoff with full jitter: each delay is drawn from (0, bound], and the bound doubles up to `max`.
 * Full jitter spreads a herd of callers widest for the same mean. Never gives up: that is the caller's decision.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How many failures there were since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** The delay to wait after one more failure, in milliseconds. */
  next(): number {
    const { initial, max, random } = this.#options;
    // 2^30 times any sensible start is past any sensible maximum; the cap keeps the power finite.
    const bound = Math.min(max, initial * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return Math.max(1, Math.ceil(random() * bound));
  }

  /** Begins again from the first delay. */
  reset(): void {
    this.#failures = 0;
  }
}
