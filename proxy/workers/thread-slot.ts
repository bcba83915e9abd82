import { SealwrightError } from '../../src/core/errors.ts';
import type { OpenConnections } from '../status/data-plane.ts';
import type { DataThread } from './data-thread.ts';
import type { PackedUpdate } from './packed-update.ts';
import type { ProblemMessage } from './protocol.ts';

/** The place of one thread among several, in which one that has ended is followed by another. */
export class ThreadSlot {
  readonly number: number;
  problems: readonly SealwrightError[] = [];
  hosts: readonly string[] = [];
  open: OpenConnections = NOTHING;
  /** Resolves when the last that was given is in force. */
  latest: Promise<void> = Promise.resolve();
  #thread: DataThread | undefined;

  constructor(number: number) {
    this.number = number;
  }

  /** Undefined where none is to follow any more. */
  get thread(): DataThread | undefined {
    return this.#thread;
  }

  /** The one that is there now; undefined where none is to follow. */
  follow(thread: DataThread | undefined): void {
    this.#thread = thread;
    [this.problems, this.hosts, this.open] = [[], [], NOTHING];
    if (thread !== undefined) this.latest = this.#until(thread, thread.started);
  }

  apply(typeUrl: string, update: PackedUpdate): Promise<void> {
    const thread = this.#thread;
    if (thread !== undefined) this.latest = this.#until(thread, thread.apply(typeUrl, update));
    return this.latest;
  }

  setProblems(problems: readonly ProblemMessage[]): void {
    this.problems = problems.map(({ code, fields }) => new SealwrightError(code, fields));
  }

  /** Whoever follows one that has ended begins with all that is in force, this included. */
  async #until(thread: DataThread, taking: Promise<'taken' | 'ended'>): Promise<void> {
    let current = thread;
    let outcome = await taking;
    while (outcome === 'ended') {
      const next = this.#thread;
      if (next === undefined || next === current) return;
      current = next;
      outcome = await next.started;
    }
  }
}

const NOTHING: OpenConnections = Object.freeze({ inbound: 0, outbound: 0 });
