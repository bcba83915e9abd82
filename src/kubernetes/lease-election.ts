import type { Random } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { answerInTime } from './answer-in-time.ts';
import type { KubernetesClient } from './api-client.ts';
import { isOvertaken, retryAfterOf } from './api-errors.ts';
import { HeldTerm, momentOf, type LeaderTerm, type SentAt } from './leader-term.ts';
import { leaseBody, LEASES, nextRenewTime, readLease, sameRecord } from './lease-record.ts';
import type { LeasePlace, LeaseRecord, ReadLease } from './lease-record.ts';

/** All in milliseconds: `renewDeadline` less than `leaseDuration`, and more than 1.2 times `retryPeriod`. */
export interface LeaseTimings {
  /** How long others leave the lease alone after they saw it renewed. */
  readonly leaseDuration: number;
  /** How long after a renewal its holder counts itself as the leader. */
  readonly renewDeadline: number;
  /** How often it is renewed, or tried for. */
  readonly retryPeriod: number;
}

export interface LeaseElectionOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'update'>;
  readonly lease: LeasePlace;
  /** Unlike that of every other process, and of this program's last run in the same pod. */
  readonly identity: string;
  readonly timings: LeaseTimings;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /**
   * Called at the beginning of each term with it; what it answers is called at the end. The next term, and the release
   * of the lease, wait until that has resolved.
   */
  readonly whileLeading: (term: LeaderTerm) => () => Promise<void> | void;
  /** Called with the outcome of each try, for metrics. */
  readonly onTry?: (outcome: 'renewed' | 'waiting' | 'failed') => void;
}

/** client-go's: candidates wait between one and 2.2 retry periods, so that they do not all come at once. */
const JITTER = 1.2;

/**
 * Leader election by a Lease, by client-go's rules (tools/leaderelection). Nobody compares its clock with another's: a
 * candidate takes a lease that it has seen unchanged for its whole duration by its own steady clock, and the API server
 * lets only one write replace what was read. Stricter than client-go in what makes a leader: the deadline counts from the
 * sending of a renewal, and is asked at each act.
 */
export class LeaseElection {
  readonly #options: LeaseElectionOptions;
  readonly #closing = new AbortController();
  #seen: (ReadLease & { readonly at: number }) | undefined;
  /** Of the last lease seen that somebody held: until when it counts although it has vanished. By the steady clock. */
  #heldUntil = 0;
  #term: HeldTerm | undefined;
  /** The end of the last term's work. */
  #worked: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #trying: Promise<void> = Promise.resolve();
  #lastFailure = '';

  /** Takes part from now on. */
  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#try();
  }

  /** Whether this process leads at this very moment. */
  get isLeader(): boolean {
    return this.#term?.isCurrent ?? false;
  }

  /** Who held the lease when it was last seen; undefined where nobody did. */
  get holder(): string | undefined {
    return this.#seen?.record.holder || undefined;
  }

  /** Ends the term, waits for its work to end, and lets go of the lease, so that another need not wait it out. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#timer?.cancel();
    this.#term?.end();
    await this.#worked;
    await this.#trying;
    if (this.holder === this.#options.identity) await this.#release();
  }

  #try(): void {
    this.#trying = this.#tryOnce();
  }

  async #tryOnce(): Promise<void> {
    const { clock, random, timings } = this.#options;
    const began = clock.elapsed();
    const wanted = await this.#attempt();
    if (this.#closing.signal.aborted) return;
    const { retryPeriod, leaseDuration } = timings;
    const pause = this.isLeader
      ? Math.max(0, retryPeriod - (clock.elapsed() - began))
      : Math.max(retryPeriod * (1 + JITTER * random()), Math.min(wanted, leaseDuration));
    this.#timer = clock.after(pause, () => this.#try());
  }

  /** Answers how many milliseconds the server asks to be left alone. A leader does not: it would lose its place. */
  async #attempt(): Promise<number> {
    const { onTry, logger, lease } = this.#options;
    let wanted = 0;
    try {
      const won = await this.#acquireOrRenew();
      onTry?.(won ? 'renewed' : 'waiting');
      this.#lastFailure = '';
    } catch (error) {
      onTry?.('failed');
      wanted = retryAfterOf(error) ?? 0;
      const reason = reasonOf(error);
      // Every two seconds while the server is away: said once.
      if (reason !== this.#lastFailure) logger.warn('the lease was not renewed or tried for', { ...lease, reason });
      this.#lastFailure = reason;
    }
    if (this.#term !== undefined && !this.#term.isCurrent) this.#term.end();
    return wanted;
  }

  /** Whether the lease is ours. */
  async #acquireOrRenew(): Promise<boolean> {
    // Without reading it first, as long as nobody else writes: half the requests of the time in which all is well.
    if (this.isLeader && this.#seen !== undefined) {
      try {
        return await this.#write(this.#seen);
      } catch (error) {
        if (!isOvertaken(error)) throw error;
      }
    }
    const found = await this.#read();
    if (this.#closing.signal.aborted) return false;
    if (found === undefined) {
      // Somebody deleted it, which ends nobody's term: whoever held it may not have noticed yet.
      if (!this.isLeader && this.#options.clock.elapsed() < this.#heldUntil) return false;
      return this.#write(undefined);
    }
    if (found.record.holder !== this.#options.identity) {
      this.#term?.end();
      if (this.#isHeld(found)) return false;
    }
    return this.#write(found);
  }

  async #read(): Promise<(ReadLease & { readonly at: number }) | undefined> {
    const { client, lease, clock } = this.#options;
    const object = await this.#ask(() => client.get(LEASES, lease));
    if (object === undefined) {
      this.#seen = undefined;
      return undefined;
    }
    const { record } = readLease(object);
    const last = this.#seen;
    // By when it was first seen so, which is after it was written.
    const at = last !== undefined && sameRecord(last.record, record) ? last.at : clock.elapsed();
    return this.#see({ record, object, at });
  }

  #see(seen: ReadLease & { readonly at: number }): ReadLease & { readonly at: number } {
    const { identity } = this.#options;
    const { holder } = seen.record;
    if (holder !== '' && holder !== this.#seen?.record.holder) {
      this.#options.logger.info(holder === identity ? 'holds the lease' : 'another process holds the lease', {
        ...this.#options.lease,
        holder: holder.slice(0, 253),
      });
    }
    this.#seen = seen;
    const ours = holder === '' || holder === identity;
    this.#heldUntil = ours ? 0 : seen.at + this.#durationOf(seen.record);
    return seen;
  }

  #isHeld({ record, at }: { readonly record: LeaseRecord; readonly at: number }): boolean {
    return record.holder !== '' && this.#options.clock.elapsed() < at + this.#durationOf(record);
  }

  /** What its holder wrote counts, which may have other settings than we. */
  #durationOf({ duration }: LeaseRecord): number {
    return duration ?? this.#options.timings.leaseDuration;
  }

  /** Writes ourselves over what was read, or into a new lease, and leads from then on. */
  async #write(over: ReadLease | undefined): Promise<boolean> {
    const { client, lease, identity, timings, clock } = this.#options;
    const sent = momentOf(clock);
    const old = over?.record;
    const renewTime = nextRenewTime(sent.wall, old?.renewTime);
    const ours = old?.holder === identity;
    const record: LeaseRecord = {
      holder: identity,
      duration: timings.leaseDuration,
      acquireTime: ours ? (old?.acquireTime ?? renewTime) : renewTime,
      renewTime,
      transitions: (old?.transitions ?? 0) + (ours || old === undefined ? 0 : 1),
    };
    const body = leaseBody(lease, record, over);
    const object = await this.#ask(() =>
      over === undefined
        ? client.create(LEASES, body, { namespace: lease.namespace })
        : client.update(LEASES, body, lease),
    );
    const written = readLease(object);
    // Something between us and the server may answer anything: only an answer that holds what was sent is one.
    if (written.record.holder !== identity || written.record.renewTime !== renewTime) {
      throw new SealwrightError('kubernetes_unreachable', { reason: 'its answer is not the lease that was written' });
    }
    this.#see({ ...written, at: clock.elapsed() });
    this.#lead(sent);
    return true;
  }

  #lead(sent: SentAt): void {
    const { clock, timings, logger, lease } = this.#options;
    if (this.#closing.signal.aborted) return;
    this.#term?.renew(sent, timings.renewDeadline);
    if (this.isLeader) return;
    const term = new HeldTerm(clock, sent, timings.renewDeadline);
    // An answer that came too late.
    if (!term.isCurrent) return term.end();
    this.#term = term;
    const before = this.#worked;
    logger.info('leads', { ...lease });
    this.#worked = this.#work(term, before);
  }

  async #work(term: HeldTerm, before: Promise<void>): Promise<void> {
    const { logger, lease } = this.#options;
    await before;
    if (!term.isCurrent) return;
    const over = new Promise<void>((resolve) => term.signal.addEventListener('abort', () => resolve(), { once: true }));
    const stop = this.#begin(term);
    if (stop === undefined) return;
    await over;
    if (this.#closing.signal.aborted) logger.info('gives up the lease, as it stops', { ...lease });
    else logger.warn('leads no more', { ...lease });
    await (async (): Promise<void> => stop())().catch((error: unknown) =>
      logger.error('the work of the leader did not end cleanly', { reason: reasonOf(error) }),
    );
  }

  /** Work that cannot begin is another's to do: the term is over, and the lease is tried for again. */
  #begin(term: HeldTerm): (() => void | Promise<void>) | undefined {
    const { whileLeading, logger, lease } = this.#options;
    try {
      return whileLeading(term);
    } catch (error) {
      logger.error('the work of the leader did not begin', { ...lease, reason: reasonOf(error) });
      term.end();
      return undefined;
    }
  }

  /** Twice, since a renewal that got no answer may have been written after all. */
  async #release(): Promise<void> {
    const { client, lease, identity, clock, logger } = this.#options;
    try {
      for (let left = 2; left > 0; left -= 1) {
        const found = await this.#ask(() => client.get(LEASES, lease));
        if (found === undefined) return;
        const read = readLease(found);
        if (read.record.holder !== identity) return;
        const renewTime = nextRenewTime(clock.now(), read.record.renewTime);
        const record = { ...read.record, holder: '', duration: 1_000, renewTime };
        try {
          await this.#ask(() => client.update(LEASES, leaseBody(lease, record, read), lease));
          return;
        } catch (error) {
          if (!isOvertaken(error)) throw error;
        }
      }
    } catch (error) {
      logger.warn('the lease was not released, and runs out by itself', { ...lease, reason: reasonOf(error) });
    }
  }

  /** As client-go: a request may take half of the deadline, so that there is a second one before it. */
  #ask<T>(call: () => Promise<T>): Promise<T> {
    const { clock, timings } = this.#options;
    return answerInTime(call(), timings.renewDeadline / 2, clock);
  }
}
