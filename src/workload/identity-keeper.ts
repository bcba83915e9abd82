import { Backoff, type Random } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { TrustDomain } from '../identity/trust-domain.ts';
import { isForAnother, type CaAccess } from './ca-credentials.ts';
import type { HeldIdentity } from './held-identity.ts';
import { loadIdentity, saveIdentity } from './identity-file.ts';
import { obtainIdentity } from './obtain-identity.ts';
import { renewalTime, retryDelay } from './renewal-time.ts';
import { readToken } from './token-file.ts';

export interface IdentityKeeperOptions {
  readonly ca: CaAccess;
  readonly trustDomain: TrustDomain;
  /** What is asked for, in milliseconds. */
  readonly lifetime: number;
  /** The workload's folder. Undefined keeps key and certificate in memory: a restart then waits for the CA. */
  readonly folder: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Delays after failures, in milliseconds. */
  readonly retry?: { readonly initial: number; readonly max: number };
}

/** Why there is no newer certificate. */
export interface IdentityProblem {
  readonly code: string;
  readonly message: string;
  /** Failed tries since the last success. */
  readonly failures: number;
  /** Wall milliseconds of the first of them. */
  readonly since: number;
}

/** What Istio's agent waits: half a second at first, a minute at last, for ever. */
const RETRY = { initial: 500, max: 60_000 } as const;

/** A CA that answers with certificates that are nearly over must not be asked without pause. Milliseconds. */
const SHORTEST_INTERVAL = 1_000;

/**
 * Keeps one workload's identity: takes over what the last run left, obtains, renews at half-life, and tries again for
 * ever. What is held is kept until its successor is proven, and is given up for nothing (invariant 9).
 */
export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<(held: HeldIdentity) => void>();
  readonly #shortestRetry: number;
  #current: HeldIdentity | undefined;
  #problem: IdentityProblem | undefined;
  #timer: Timer | undefined;
  #renewal: Promise<void> | undefined;
  #renewalAt: number | undefined;
  #dueAgain = false;

  private constructor(options: IdentityKeeperOptions, current: HeldIdentity | undefined) {
    const retry = options.retry ?? RETRY;
    this.#options = options;
    this.#backoff = new Backoff({ ...retry, random: options.random });
    this.#shortestRetry = retry.initial;
    this.#current = current;
  }

  /**
   * Begins. Does not wait for the CA, and does not fail without it.
   *
   * @throws never for what the disk holds: that is said in the log
   */
  static async open(options: IdentityKeeperOptions): Promise<IdentityKeeper> {
    const { folder, trustDomain, clock, logger } = options;
    const now = clock.now();
    const left = folder === undefined ? undefined : await loadIdentity(folder, { trustDomain, now, logger });
    const keeper = new IdentityKeeper(options, left);
    if (left !== undefined) {
      logger.info('the identity of the last run is taken over', describe(left));
      await options.ca.roots.push(left.rootsPem).catch((error: unknown) => keeper.#onUnsaved(error));
    }
    if (left === undefined || (await keeper.#belongsToAnother(left))) keeper.#renewNow();
    else keeper.#schedule(left);
    return keeper;
  }

  /** What is to be presented now. It may have expired: whether peers still take it is theirs to say. */
  current(): HeldIdentity | undefined {
    return this.#current;
  }

  /** Whether there is a certificate whose time is not over: what readiness asks. */
  get usable(): boolean {
    return this.#current !== undefined && this.#options.clock.now() < this.#current.notAfter;
  }

  /** Why the last try failed, until one succeeds. */
  get problem(): IdentityProblem | undefined {
    return this.#problem;
  }

  /** When the next try is due, in wall milliseconds; undefined while one is under way. */
  get renewalAt(): number | undefined {
    return this.#renewalAt;
  }

  /** Calls back with each new identity, the first one too where there was none; the function returned ends that. */
  onChange(listener: (held: HeldIdentity) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Something gives hope, such as the control stream being back: a waiting retry is made now, and one where the token has
   * become another account's.
   */
  retryNow(): void {
    if (this.#renewal !== undefined) return;
    if (this.#problem !== undefined) this.#renewNow();
    else if (this.#current !== undefined) void this.#follow(this.#current);
  }

  /** Ends a try that is under way. What is on disk stays for the next run. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#stopping.abort();
    await this.#renewal;
  }

  readonly #renewNow = (): void => {
    this.#timer?.cancel();
    this.#renewalAt = undefined;
    if (this.#stopping.signal.aborted) return;
    // The one before may still be writing to a slow disk.
    this.#dueAgain = this.#renewal !== undefined;
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = undefined;
      if (this.#dueAgain) this.#renewNow();
    });
  };

  async #renew(): Promise<void> {
    const { ca, trustDomain, lifetime, clock, logger } = this.#options;
    const { signal } = this.#stopping;
    const before = this.#current;
    try {
      const held = await obtainIdentity({ ca, trustDomain, lifetime, held: before, clock, signal });
      if (signal.aborted) return;
      await this.#take(held);
    } catch (error) {
      if (signal.aborted) return;
      this.#onFailure(error);
      return;
    }
    logger.info(before === undefined ? 'identity obtained' : 'identity renewed', describe(this.#current));
  }

  async #take(held: HeldIdentity): Promise<void> {
    const { ca, folder, logger } = this.#options;
    const before = this.#current;
    if (before !== undefined && !before.identity.equals(held.identity)) {
      logger.warn('the token is for another identity: this workload is now another', {
        before: before.identity.toString(),
        after: held.identity.toString(),
      });
    }
    this.#current = held;
    this.#problem = undefined;
    this.#backoff.reset();
    this.#schedule(held);
    for (const listener of this.#listeners) {
      try {
        listener(held);
      } catch (error) {
        logger.error('a listener to the identity failed', { reason: reasonOf(error) });
      }
    }
    // A full disk must not stop the renewal: what is in memory serves until the next start.
    try {
      await ca.roots.push(held.rootsPem);
      if (folder !== undefined) await saveIdentity(folder, held);
    } catch (error) {
      this.#onUnsaved(error);
    }
  }

  #schedule(held: HeldIdentity): void {
    const { clock, random } = this.#options;
    const due = Math.max(renewalTime(held, random), clock.now() + SHORTEST_INTERVAL);
    this.#waitUntil(due);
  }

  #onFailure(error: unknown): void {
    const { ca, clock, logger } = this.#options;
    const now = clock.now();
    const code = error instanceof SealwrightError ? error.code : 'internal';
    const failures = (this.#problem?.failures ?? 0) + 1;
    const message = reasonOf(error);
    this.#problem = { code, message, failures, since: this.#problem?.since ?? now };
    const rest = (this.#current?.notAfter ?? now) - now;
    const delay = retryDelay(this.#backoff.next(), rest, this.#shortestRetry);
    this.#waitUntil(now + delay);
    const urgent = rest <= 0;
    logger[urgent ? 'error' : 'warn'](urgent ? 'there is no valid identity' : 'the identity was not renewed', {
      code,
      reason: message,
      failures,
      nextTryInMs: delay,
      // The CA says what is wrong with the token, and cannot say where it lies.
      ...(code === 'ca_refused' ? { tokenFile: ca.tokenFile } : {}),
      ...describe(this.#current),
    });
  }

  #waitUntil(time: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer?.cancel();
    this.#renewalAt = time;
    this.#timer = this.#options.clock.at(time, this.#renewNow);
  }

  async #follow(held: HeldIdentity): Promise<void> {
    if ((await this.#belongsToAnother(held)) && this.#current === held) this.#renewNow();
  }

  async #belongsToAnother(held: HeldIdentity): Promise<boolean> {
    const token = await readToken(this.#options.ca.tokenFile).catch(() => undefined);
    return token !== undefined && isForAnother(token, held);
  }

  #onUnsaved(error: unknown): void {
    this.#options.logger.error('the identity could not be saved', { reason: reasonOf(error) });
  }
}

function describe(held: HeldIdentity | undefined): Record<string, unknown> {
  if (held === undefined) return {};
  const { identity, serial, notAfter } = held;
  return { identity: identity.toString(), serial, notAfter: new Date(notAfter).toISOString() };
}
