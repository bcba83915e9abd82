import type { Random } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import {
  DEFAULT_DESTINATION_POLICY,
  type DestinationPolicy,
  type RetryBudget,
} from '../../src/resources/destination-policy.ts';
import type { Circuit } from './circuit.ts';
import type { UpstreamPool } from './pool.ts';

/** Second tries of requests to one destination: where they go, and how many there may be. */
export interface Retries {
  /** Where one may go that was tried at these; one of them again where there is no other, undefined where nobody is. */
  next(tried: readonly UpstreamPool[]): UpstreamPool | undefined;
  /**
   * Begins one, where there may be one more at this moment; each is ended by `end`.
   *
   * @param sent whether the request was sent before, so that somebody may do its work twice
   */
  begin(sent: boolean): boolean;
  end(succeeded: boolean): void;
  /** There were as many for one request as there may be. */
  exhausted(): void;
  /** Calls back when it is time to try the same place again. */
  wait(attempt: number, call: () => void): Timer;
}

export interface ClusterRetriesOptions {
  readonly circuit: Circuit;
  readonly clock: Pick<Clock, 'after'>;
  readonly random: Random;
  readonly next: Retries['next'];
  /** What this thread has of a limit that a rule sets for all of them; all of it where nothing is said. */
  readonly shareOf?: (limit: number) => number;
}

/** Envoy's, for what is sent twice where no DestinationRule says how many there may be. */
const RESENT: RetryBudget = Object.freeze({ percent: 20, minConcurrency: 3 });

/** Milliseconds that the first wait does not exceed; each further one may be twice as long. Istio's `backoff`. */
const BACKOFF = 25;

/**
 * The budget of one destination. A request that reached nobody costs the destination nothing, so that it may be tried
 * elsewhere without limit unless a rule sets one; one that was sent and lost may load whoever is ill already with twice
 * the work, so that a share of the calls under way is the limit.
 */
export class ClusterRetries implements Retries {
  readonly #options: ClusterRetriesOptions;
  policy: DestinationPolicy = DEFAULT_DESTINATION_POLICY;

  constructor(options: ClusterRetriesOptions) {
    this.#options = options;
  }

  next(tried: readonly UpstreamPool[]): UpstreamPool | undefined {
    return this.#options.next(tried);
  }

  begin(sent: boolean): boolean {
    const { circuit } = this.#options;
    if (circuit.retrying >= this.#most(sent)) {
      circuit.counts.upstream_rq_retry_overflow += 1;
      return false;
    }
    circuit.retrying += 1;
    circuit.counts.upstream_rq_retry += 1;
    return true;
  }

  end(succeeded: boolean): void {
    const { circuit } = this.#options;
    circuit.retrying -= 1;
    if (succeeded) circuit.counts.upstream_rq_retry_success += 1;
  }

  exhausted(): void {
    this.#options.circuit.counts.upstream_rq_retry_limit_exceeded += 1;
  }

  wait(attempt: number, call: () => void): Timer {
    const { clock, random } = this.#options;
    return clock.after(Math.ceil(random() * BACKOFF * 2 ** attempt), call);
  }

  #most(sent: boolean): number {
    const { circuit, shareOf } = this.#options;
    const { retryBudget, connections } = this.policy;
    const own = (limit: number): number => shareOf?.(limit) ?? limit;
    // Of what is under way each thread sees its share anyway.
    const share = ({ percent, minConcurrency }: RetryBudget): number =>
      Math.max(own(minConcurrency), Math.floor((percent * circuit.active) / 100));
    if (retryBudget !== undefined) return share(retryBudget);
    const { maxRetries } = connections;
    if (maxRetries !== undefined) return own(maxRetries);
    return sent ? share(RESENT) : Infinity;
  }
}
