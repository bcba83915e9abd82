import type { Clock, Timer } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { MergedMetrics } from '../../src/observe/merged-metrics.ts';
import type { MetricChange } from '../../src/observe/metric-recorder.ts';
import type { Count, Metrics } from '../../src/observe/metrics.ts';
import type { XdsUpdate } from '../../src/wire/xds-owner.ts';
import type { Replica, Replicated } from '../agent/replica.ts';
import type { KeySets } from '../authorize/tokens/key-sets.ts';
import type { DecisionReport } from '../decisions/decision-log.ts';
import { giveBackOf, sharedCounts } from '../inbound/allowance.ts';
import { DROPPED } from '../report/access-log.ts';
import type { DataPlane, DecisionSource, OpenConnections } from '../status/data-plane.ts';
import { DataThread, type ThreadWorker } from './data-thread.ts';
import { LineCounts } from './line-counts.ts';
import type { MergedLines } from './merged-lines.ts';
import { packUpdate } from './packed-update.ts';
import type { CertificateMessage, MainCalls, ThreadSetup } from './protocol.ts';
import { SharedPlaces } from './shared-places.ts';
import { ThreadSlot } from './thread-slot.ts';

export interface DataThreadsOptions {
  readonly count: number;
  readonly spawn: (setup: ThreadSetup) => ThreadWorker;
  readonly setup: Omit<ThreadSetup, 'thread' | 'threads' | 'connections' | 'lines'>;
  readonly agent: {
    readonly identity: CertificateHolder;
    readonly keySets: Pick<KeySets, 'askAgain'>;
    replicate(replica: Replica): Replicated;
  };
  /** Resolves when something may be listened to, and ends the wait for that. */
  readonly interception: { readonly inForce: Promise<void>; readonly close: () => void } | undefined;
  readonly accessLog: MergedLines;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface CertificateHolder {
  current(): HeldCertificate | undefined;
  onChange(listener: () => void): () => void;
}

interface HeldCertificate {
  readonly identity: { toString(): string };
  readonly keyPem: string;
  readonly chainPem: string;
  readonly serial: string;
}

/** Milliseconds between two looks at whether the threads still answer. */
const PULSE = 5_000;
/** Milliseconds in which one has to: its callers wait, it serves by old policies, and no push is acknowledged. */
const PATIENCE = 10_000;
/** The same for one that still loads its program, beside whatever else starts on this machine. */
const START_PATIENCE = 60_000;
/** Milliseconds that a scrape waits for a thread; what it counted comes with the next one. */
const SCRAPE_PATIENCE = 1_000;
/** Milliseconds for a thread to end in order. */
const CLOSE_PATIENCE = 800;

/** More ends than these within so many milliseconds are no accident: what ends them will end the next one too. */
const MOST_ENDS = 5;
const ENDS_WITHIN = 60_000;

/** Decisions that are told for one id. */
const MOST_TOLD = 20;

/**
 * The data plane of one workload in several threads, each with everything that it needs to serve alone: the configuration
 * compiled, the certificate, connections of its own. The kernel spreads callers over them. Here is what there is once:
 * the agent, the ports' locks, the logs, the metrics. No call waits for this thread.
 *
 * A thread that ends takes its connections along, is reported, and is followed by another.
 */
export class DataThreads implements DataPlane, DecisionSource, Replica {
  readonly #options: DataThreadsOptions;
  readonly #slots: readonly ThreadSlot[];
  readonly #replicated: Replicated;
  readonly #places = new SharedPlaces();
  readonly #merged: MergedMetrics;
  readonly #counts: Int32Array<SharedArrayBuffer>;
  readonly #lines: Int32Array<SharedArrayBuffer>;
  readonly #lineCounts: LineCounts;
  readonly #ends: Count;
  readonly #endedAt: number[] = [];
  readonly #stopListening: () => void;
  #pulse: Timer;
  #failure: SealwrightError | undefined;
  #onFailed: ((error: SealwrightError) => void) | undefined;
  #draining = false;
  #closed = false;

  constructor(options: DataThreadsOptions) {
    this.#options = options;
    const { agent, count, clock, metrics } = options;
    this.#merged = new MergedMetrics(metrics);
    this.#ends = metrics.counter('sealwright_data_thread_ends_total', 'Threads that ended and were replaced.').of();
    metrics.gauge('sealwright_data_threads', 'Threads that carry traffic.', () => this.#running().length);
    this.#counts = sharedCounts(count);
    this.#lines = LineCounts.shared(count);
    this.#lineCounts = new LineCounts(this.#lines);
    this.#replicated = agent.replicate(this);
    this.#slots = Array.from({ length: count }, (_, number) => new ThreadSlot(number));
    for (const slot of this.#slots) this.#start(slot);
    this.#stopListening = agent.identity.onChange(() => {
      const certificate = this.#certificate();
      if (certificate !== undefined) for (const thread of this.#running()) thread.certificate(certificate);
    });
    this.#pulse = clock.after(PULSE, () => this.#lookAfter());
  }

  get applied(): Promise<void> {
    return Promise.all(this.#slots.map(({ latest }) => latest)).then(() => undefined);
  }

  /** Each once: mostly all threads have the same. */
  get problems(): readonly SealwrightError[] {
    const problems = this.#slots.flatMap((slot) => slot.problems);
    return [...new Map(problems.map((problem) => [problem.message, problem])).values()];
  }

  get draining(): boolean {
    return this.#draining;
  }

  get open(): OpenConnections {
    const sum = (direction: keyof OpenConnections): number =>
      this.#slots.reduce((total, { open }) => total + open[direction], 0);
    return { inbound: sum('inbound'), outbound: sum('outbound') };
  }

  get hosts(): readonly string[] {
    return this.#slots.flatMap((slot) => slot.hosts);
  }

  onFailed(listener: (error: SealwrightError) => void): void {
    this.#onFailed = listener;
    if (this.#failure !== undefined) listener(this.#failure);
  }

  async taken(typeUrl: string, update: XdsUpdate): Promise<void> {
    const packed = packUpdate(update);
    await Promise.all(this.#slots.map((slot) => slot.apply(typeUrl, packed)));
  }

  forgotten(names: readonly string[]): void {
    for (const thread of this.#running()) thread.forget(names);
  }

  refresh(): Promise<void> {
    return this.#ofAll((slot) => this.#refreshOne(slot));
  }

  countOpen(): Promise<void> {
    return this.#ofAll(async (slot) => {
      const { thread } = slot;
      const open = await thread?.open();
      if (open !== undefined && slot.thread === thread) slot.open = open;
    });
  }

  async find(requestId: string): Promise<readonly DecisionReport[]> {
    const found = await Promise.all(this.#running().map((thread) => thread.findDecisions(requestId)));
    return found
      .flat()
      .toSorted((a, b) => (a.time < b.time ? 1 : -1))
      .slice(0, MOST_TOLD);
  }

  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.all(this.#running().map((thread) => thread.drain()));
  }

  async endInbound(): Promise<void> {
    await Promise.all(this.#running().map((thread) => thread.endInbound()));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopListening();
    this.#options.interception?.close();
    this.#pulse.cancel();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(CLOSE_PATIENCE, resolve);
    const threads = this.#running();
    await Promise.race([Promise.all(threads.map((thread) => thread.close())), late]);
    timer.cancel();
    await Promise.all(threads.map((thread) => thread.end('the sidecar ends')));
  }

  #running(): DataThread[] {
    return this.#slots.flatMap(({ thread }) => thread ?? []);
  }

  #certificate(): CertificateMessage | undefined {
    const held = this.#options.agent.identity.current();
    if (held === undefined) return undefined;
    const { identity, keyPem, chainPem, serial } = held;
    return { identity: identity.toString(), keyPem, chainPem, serial };
  }

  #start(slot: ThreadSlot): void {
    const { spawn, setup } = this.#options;
    const shared = { threads: this.#slots.length, connections: this.#counts, lines: this.#lines };
    const thread = new DataThread({
      worker: spawn({ ...setup, thread: slot.number, ...shared }),
      calls: this.#callsOf(slot, () => thread),
      snapshot: this.#replicated.snapshot(),
      certificate: this.#certificate(),
      draining: this.#draining,
      onEnded: (reason) => this.#onEnded(slot, thread, reason),
    });
    slot.follow(thread);
  }

  #callsOf(slot: ThreadSlot, thread: () => DataThread): MainCalls {
    const { agent, accessLog, interception, logger } = this.#options;
    return {
      want: (names) => this.#replicated.want(thread(), names),
      release: (names) => this.#replicated.release(thread(), names),
      inForce: async () => interception?.inForce,
      hold: (address, port, facing) => this.#places.hold(thread(), address, port, facing),
      letGo: (address, port) => this.#places.letGo(thread(), address, port),
      listeners: (problems) => slot.setProblems(problems),
      hosts: (hosts) => (slot.hosts = hosts),
      lookAgain: async (name, wait) => {
        const asked = agent.keySets.askAgain(name, wait);
        await asked;
        return asked !== undefined;
      },
      log: (level, message, fields) => logger[level](message, { thread: slot.number, ...fields }),
      accessLog: (lines, count) => {
        this.#lineCounts.came(slot.number, count);
        accessLog.write(lines, () => thread().linesTaken(lines.length));
      },
    };
  }

  /** Asks all of them, and does not wait for one that does not answer. */
  async #ofAll(ask: (slot: ThreadSlot) => Promise<void>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(SCRAPE_PATIENCE, resolve);
    await Promise.race([Promise.all(this.#slots.map(ask)), late]);
    timer.cancel();
  }

  async #refreshOne(slot: ThreadSlot): Promise<void> {
    const { thread } = slot;
    const state = await thread?.state(this.#options.clock.elapsed());
    if (state === undefined || slot.thread !== thread) return;
    slot.open = state.open;
    slot.hosts = state.hosts;
    slot.setProblems(state.problems);
    this.#merged.add(slot.number, state.metrics);
  }

  /** Told in the turn in which it ended, so that nobody finds an empty place. */
  #onEnded(slot: ThreadSlot, thread: DataThread, reason: string): void {
    const { logger, clock } = this.#options;
    this.#merged.forget(slot.number);
    this.#merged.add(slot.number, lostLines(this.#lineCounts.lost(slot.number)));
    giveBackOf(this.#counts, slot.number);
    this.#replicated.leave(thread);
    this.#places.leave(thread);
    if (this.#closed || this.#failure !== undefined) {
      slot.follow(undefined);
      return;
    }
    this.#ends.add(1);
    const now = clock.elapsed();
    const recent = this.#endedAt.filter((at) => now - at < ENDS_WITHIN);
    this.#endedAt.splice(0, Infinity, ...recent, now);
    logger.error('a thread ended, and its connections with it; another takes its place', {
      thread: slot.number,
      reason,
      openBefore: slot.open,
    });
    if (this.#endedAt.length > MOST_ENDS) {
      slot.follow(undefined);
      this.#fail(reason);
    } else {
      this.#start(slot);
    }
  }

  #fail(reason: string): void {
    const within = `${ENDS_WITHIN / 1_000}s`;
    this.#failure = new SealwrightError('data_threads_end', { ends: this.#endedAt.length, within, reason });
    this.#onFailed?.(this.#failure);
  }

  #lookAfter(): void {
    const { clock } = this.#options;
    for (const slot of this.#slots) {
      const { thread } = slot;
      const since = thread?.askedAt;
      const patience = thread?.answered === true ? PATIENCE : START_PATIENCE;
      if (since === undefined) void this.#refreshOne(slot);
      else if (clock.elapsed() - since > patience) void thread?.end('it does not answer any more');
    }
    this.#pulse = clock.after(PULSE, () => this.#lookAfter());
  }
}

/** As the thread would have told of them. */
function lostLines(lines: number): readonly MetricChange[] {
  if (lines <= 0) return [];
  return [{ kind: 'counter', ...DROPPED, labels: [], series: [{ key: [], amount: lines }], removed: [] }];
}
