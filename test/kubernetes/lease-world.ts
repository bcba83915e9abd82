import { setImmediate } from 'node:timers/promises';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { LeaseElection, type LeaseTimings } from '../../src/kubernetes/lease-election.ts';
import { LEASES } from '../../src/kubernetes/lease-record.ts';
import { MemoryApi } from '../fakes/memory-api.ts';
import { RecordingLogger } from '../fakes/logger.ts';

export const TIMINGS: LeaseTimings = { leaseDuration: 15_000, renewDeadline: 10_000, retryPeriod: 2_000 };
export const LEASE = { namespace: 'sealwright-system', name: 'sealwright-ca' };

/** What the network does with one request. Times in milliseconds. */
export interface Journey {
  readonly there: number;
  readonly back: number;
  readonly lost: 'no' | 'request' | 'answer';
}

export interface ProcessPlan {
  /** How fast its steady clock runs: 1 is right. */
  readonly rate: number;
  /** How far its wall clock is off at first. */
  readonly wallOffset: number;
  /** When it stands still, as after SIGSTOP; by true time. */
  readonly pauses: readonly { readonly from: number; readonly lasts: number }[];
  /** When its wall clock is set, and by how much; a machine's sleep also stops the steady clock. */
  readonly jumps: readonly { readonly at: number; readonly by: number }[];
  /** When its steady clock stands still while true time and wall time go on: a machine that sleeps. */
  readonly sleeps: readonly { readonly from: number; readonly lasts: number }[];
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly call: () => void;
}

/** True time, one API server, a network that does what it is told, and processes with clocks of their own. */
export class LeaseWorld {
  now = 0;
  readonly api = new MemoryApi();
  readonly elections: LeaseElection[] = [];
  readonly logger = new RecordingLogger();
  /** Which process led from when; true time. */
  readonly terms: { readonly process: number; readonly from: number; to: number | undefined }[] = [];
  readonly #events: Event[] = [];
  readonly #journey: () => Journey;
  #order = 0;

  constructor(journey: () => Journey) {
    this.#journey = journey;
  }

  at(time: number, call: () => void): Timer {
    const event = { at: Math.max(time, this.now), order: (this.#order += 1), call };
    this.#events.push(event);
    return {
      cancel: () => {
        const index = this.#events.indexOf(event);
        if (index >= 0) this.#events.splice(index, 1);
      },
    };
  }

  start(plan: ProcessPlan, random: () => number, timings: LeaseTimings = TIMINGS): LeaseElection {
    const process = this.elections.length;
    const still = [...plan.pauses, ...plan.sleeps];
    const wakes = (time: number): number => {
      const pause = still.find(({ from, lasts }) => from <= time && time < from + lasts);
      return pause === undefined ? time : wakes(pause.from + pause.lasts);
    };
    /** Runs once the process runs, at that time or later. */
    const inProcess = (time: number, call: () => void): Timer => {
      let timer = this.at(time, () => {
        const awake = wakes(this.now);
        if (awake > this.now) timer = inProcess(awake, call);
        else call();
      });
      return { cancel: () => timer.cancel() };
    };
    const slept = (): number =>
      plan.sleeps.reduce((sum, { from, lasts }) => sum + Math.min(Math.max(0, this.now - from), lasts), 0);
    const clock: Clock = {
      elapsed: () => 1_000 + (this.now - slept()) * plan.rate,
      now: () =>
        1.8e12 +
        this.now +
        plan.wallOffset +
        plan.jumps.reduce((sum, { at, by }) => sum + (at <= this.now ? by : 0), 0),
      after: (delay, call) => inProcess(this.now + Math.max(0, delay) / plan.rate, call),
      at: () => {
        throw new Error('an election waits for no wall time');
      },
    };
    const ask = <T>(call: () => T): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        const { there, back, lost } = this.#journey();
        if (lost === 'request') return;
        this.at(this.now + there, () => {
          let settle: () => void;
          try {
            const answer = call();
            settle = () => resolve(answer);
          } catch (error) {
            settle = () => reject(error);
          }
          if (lost === 'no') inProcess(this.now + back, settle);
        });
      });
    const election = new LeaseElection({
      client: {
        get: (...all) => ask(() => this.api.get(...all)),
        create: (...all) => ask(() => this.api.create(...all)),
        update: (...all) => ask(() => this.api.update(...all)),
      },
      lease: LEASE,
      identity: `process-${process}`,
      timings,
      clock,
      random,
      logger: this.logger,
      whileLeading: () => {
        const term: (typeof this.terms)[number] = { process, from: this.now, to: undefined };
        this.terms.push(term);
        return () => void (term.to = this.now);
      },
    });
    this.elections.push(election);
    return election;
  }

  /** Lets true time pass, calling `look` after everything that happens and every so many milliseconds. */
  async run(until: number, look: () => void = () => undefined, every = 250): Promise<void> {
    await setImmediate();
    for (;;) {
      const next = this.#events.reduce<Event | undefined>(
        (first, event) =>
          first === undefined || event.at < first.at || (event.at === first.at && event.order < first.order)
            ? event
            : first,
        undefined,
      );
      const stop = Math.min(until, this.now + every);
      if (next === undefined || next.at > stop) {
        this.now = stop;
        look();
        if (stop === until) return;
        continue;
      }
      this.#events.splice(this.#events.indexOf(next), 1);
      this.now = Math.max(this.now, next.at);
      next.call();
      await setImmediate();
      look();
    }
  }

  /** Who believes to lead at this instant. */
  get leaders(): number[] {
    return this.elections.flatMap((election, process) => (election.isLeader ? [process] : []));
  }

  get lease(): Readonly<Record<string, unknown>> {
    return (this.api.get(LEASES, LEASE)?.body['spec'] ?? {}) as Readonly<Record<string, unknown>>;
  }
}

export const steady: ProcessPlan = { rate: 1, wallOffset: 0, pauses: [], jumps: [], sleeps: [] };
