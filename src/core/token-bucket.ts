import type { Clock } from './clock.ts';

export interface TokenBucketOptions {
  /** The most that can be taken at once. */
  readonly burst: number;
  /** Tokens that come back per second. */
  readonly perSecond: number;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/** A rate limit: takes are allowed while tokens are left, and tokens come back at a steady rate. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #asOf: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#asOf = options.clock.elapsed();
  }

  /** Takes one token and says whether there was one. */
  take(): boolean {
    const { burst, perSecond, clock } = this.#options;
    const now = clock.elapsed();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#asOf) / 1000) * perSecond);
    this.#asOf = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
