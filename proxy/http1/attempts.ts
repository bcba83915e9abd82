import type { Timer } from '../../src/core/clock.ts';
import type { UpstreamFailure, UpstreamPool } from '../upstream/pool.ts';
import type { Retries } from '../upstream/retries.ts';

/** Tries after the first one. Istio's default. */
const MAX_RETRIES = 2;

/** What is worth a second try at the very same place: whoever refuses there may just be starting. */
const PASSING = /^ECONN(?:REFUSED|RESET)$/;

/**
 * The tries of one request: where the next one goes, if there may be one. Nobody is asked twice at once: each further try
 * goes to another endpoint where there is one, and waits a little where there is none.
 */
export class Attempts {
  #retries: Retries | undefined;
  #tried: UpstreamPool[] | undefined;
  /** Second tries, and those of them that only a connection's idle end asked for. */
  #count = 0;
  #races = 0;
  #holding = false;
  #timer: Timer | undefined;
  /** What is added to the response flags of a request that failed in the end. */
  flags = '';

  begin(retries: Retries | undefined): void {
    this.#retries = retries;
    this.#tried = undefined;
    this.#count = 0;
    this.#races = 0;
    this.flags = '';
  }

  /**
   * After nobody was reached at `pool`, so that nothing was sent to anybody. Calls `go` with the place to try next, at
   * once or soon; false where there is none.
   */
  unreached(pool: UpstreamPool, failure: UpstreamFailure, reason: string, go: (pool: UpstreamPool) => void): boolean {
    // What is full is not helped by more of the same.
    return failure !== 'UO' && this.#again(pool, { sent: false, same: failure === 'UH' || PASSING.test(reason) }, go);
  }

  /** The same after a request was sent that may be sent again, and lost before an answer. */
  lost(pool: UpstreamPool, reused: boolean, go: (pool: UpstreamPool) => void): boolean {
    if (reused && this.#races < MAX_RETRIES) {
      // The race between a request and the end of an idle connection says nothing about the endpoint.
      this.#races += 1;
      go(pool);
      return true;
    }
    return this.#retries !== undefined && this.#again(pool, { sent: true, same: true }, go);
  }

  /** The request is over, or its client has left. */
  end(succeeded: boolean): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#holding) return;
    this.#holding = false;
    this.#retries?.end(succeeded);
  }

  #again(
    pool: UpstreamPool,
    { sent, same }: { readonly sent: boolean; readonly same: boolean },
    go: (pool: UpstreamPool) => void,
  ): boolean {
    const retries = this.#retries;
    if (retries === undefined) return false;
    this.end(false);
    (this.#tried ??= []).push(pool);
    if (this.#count === MAX_RETRIES) {
      this.flags = 'URX';
      retries.exhausted();
      return false;
    }
    const next = retries.next(this.#tried);
    if (next === undefined) return false;
    const again = this.#tried.includes(next);
    if (again && !same) return false;
    if (!retries.begin(sent)) {
      this.flags = 'UO';
      return false;
    }
    this.#holding = true;
    if (again) {
      this.#timer = retries.wait(this.#count, () => {
        this.#timer = undefined;
        go(next);
      });
      this.#count += 1;
    } else {
      this.#count += 1;
      go(next);
    }
    return true;
  }
}
