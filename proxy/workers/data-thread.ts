import { reasonOf } from '../../src/core/errors.ts';
import type { XdsUpdate } from '../../src/wire/xds-owner.ts';
import type { OpenConnections } from '../status/data-plane.ts';
import { packUpdate, type PackedUpdate } from './packed-update.ts';
import type { CertificateMessage, MainCalls, ThreadCalls, ThreadState } from './protocol.ts';
import { ThreadPort, type FramePort } from './thread-port.ts';

/** What is used of a `Worker`. */
export interface ThreadWorker extends FramePort {
  /** Ends it; `exit` follows. */
  terminate(): Promise<unknown>;
}

export interface DataThreadOptions {
  readonly worker: ThreadWorker;
  readonly calls: MainCalls;
  /** All that is in force. */
  readonly snapshot: readonly (readonly [typeUrl: string, update: XdsUpdate])[];
  readonly certificate: CertificateMessage | undefined;
  readonly draining: boolean;
  /** Told once, with why: nothing of it runs any more. */
  readonly onEnded: (reason: string) => void;
}

/** One thread that carries traffic, from its start to its end, as the main thread sees it. */
export class DataThread {
  readonly #worker: ThreadWorker;
  readonly #port: ThreadPort<MainCalls, ThreadCalls>;
  readonly #ended = Promise.withResolvers<'ended'>();
  /** Resolves with whether it took all that was in force when it began. */
  readonly started: Promise<'taken' | 'ended'>;
  #asking: { readonly at: number; readonly done: Promise<unknown> } | undefined;
  #reason = 'it ended by itself';
  #answered = false;

  constructor({ worker, calls, snapshot, certificate, draining, onEnded }: DataThreadOptions) {
    this.#worker = worker;
    this.#port = new ThreadPort<MainCalls, ThreadCalls>(worker, calls);
    worker.on('error', (error) => (this.#reason = reasonOf(error)));
    worker.on('exit', () => {
      this.#port.end(new Error(`the thread has ended: ${this.#reason}`));
      onEnded(this.#reason);
      this.#ended.resolve('ended');
    });
    if (certificate !== undefined) this.certificate(certificate);
    if (draining) void this.drain();
    this.started = this.#take(snapshot);
  }

  /** Resolves when it is in force there. What it refuses ends it: the main thread took it. */
  async apply(typeUrl: string, update: PackedUpdate): Promise<'taken' | 'ended'> {
    const refusal = await this.#port.call('apply', typeUrl, update).catch(reasonOf);
    if (refusal === undefined) return 'taken';
    void this.end(`it did not take what is in force: ${refusal}`);
    return this.#ended.promise;
  }

  certificate(certificate: CertificateMessage): void {
    this.#port.tell('certificate', certificate);
  }

  forget(names: readonly string[]): void {
    this.#port.tell('forget', names);
  }

  linesTaken(length: number): void {
    this.#port.tell('linesTaken', length);
  }

  /** When it was asked how it is doing, while it has not answered. */
  get askedAt(): number | undefined {
    return this.#asking?.at;
  }

  /** Whether it has ever answered: until then it loads its program. */
  get answered(): boolean {
    return this.#answered;
  }

  /**
   * Undefined where it has ended, or where somebody else has asked already, who is answered.
   *
   * @param now elapsed milliseconds
   */
  async state(now: number): Promise<ThreadState | undefined> {
    if (this.#asking !== undefined) {
      await this.#asking.done;
      return undefined;
    }
    const answer = this.#port.call('state').catch(() => undefined);
    this.#asking = { at: now, done: answer };
    const state = await answer;
    this.#asking = undefined;
    this.#answered ||= state !== undefined;
    return state;
  }

  /** Undefined where it has ended. */
  open(): Promise<OpenConnections | undefined> {
    return this.#port.call('open').catch(() => undefined);
  }

  findDecisions(requestId: string): Promise<Awaited<ReturnType<ThreadCalls['findDecisions']>>> {
    return this.#port.call('findDecisions', requestId).catch(() => []);
  }

  /** Of one that has ended nothing is open any more. */
  async drain(): Promise<void> {
    await this.#port.call('drain').catch(() => undefined);
  }

  async endInbound(): Promise<void> {
    await this.#port.call('endInbound').catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#port.call('close').catch(() => undefined);
  }

  /** Ends it at once, whatever it does. Resolves when it has ended. */
  async end(reason: string): Promise<void> {
    this.#reason = reason;
    await this.#worker.terminate();
  }

  async #take(snapshot: DataThreadOptions['snapshot']): Promise<'taken' | 'ended'> {
    const outcomes = await Promise.all(snapshot.map(([typeUrl, update]) => this.apply(typeUrl, packUpdate(update))));
    return outcomes.includes('ended') ? 'ended' : 'taken';
  }
}
