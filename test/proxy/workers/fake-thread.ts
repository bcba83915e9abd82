import { EventEmitter } from 'node:events';
import type { ThreadWorker } from '../../../proxy/workers/data-thread.ts';
import type { MainCalls, ThreadCalls, ThreadSetup, ThreadState } from '../../../proxy/workers/protocol.ts';
import { ThreadPort, type FramePort } from '../../../proxy/workers/thread-port.ts';
import { unpackUpdate } from '../../../proxy/workers/packed-update.ts';

type Listener = Parameters<FramePort['on']>[1];

/** The thread's end of the channel: what goes through is copied, and comes in a later turn. */
class FakePort implements FramePort {
  readonly #listeners: Listener[] = [];
  other: { receive(frame: unknown): void } | undefined;

  readonly postMessage = (frame: unknown): void => {
    const copy: unknown = structuredClone(frame);
    setImmediate(() => this.other?.receive(copy));
  };

  on(_: string, listener: Listener): this {
    this.#listeners.push(listener);
    return this;
  }

  receive(frame: unknown): void {
    for (const listener of this.#listeners) listener(frame);
  }
}

/** A thread that is none: what the main thread asks of it is written down, and answered as a test says. */
export class FakeThread extends EventEmitter implements ThreadWorker {
  readonly setup: ThreadSetup;
  readonly main: ThreadPort<ThreadCalls, MainCalls>;
  /** By type: the names of what was pushed of it. */
  readonly applied: [typeUrl: string, names: readonly string[]][] = [];
  readonly certificates: string[] = [];
  readonly said: string[] = [];
  /** What each push is answered with; undefined takes it. */
  onApply: () => Promise<string | undefined> | string | undefined = () => undefined;
  state: Partial<ThreadState> = {};
  /** How often it was asked for all that it counted. */
  asked = 0;
  /** Answers nothing any more. */
  hangs = false;
  ended = false;
  readonly #port = new FakePort();
  readonly #own = new FakePort();

  constructor(setup: ThreadSetup) {
    super();
    this.setup = setup;
    this.#own.other = { receive: (frame) => this.emit('message', frame) };
    this.#port.other = { receive: (frame) => this.#own.receive(frame) };
    const never = new Promise<never>(() => {});
    const say = (what: string) => async (): Promise<void> => {
      this.said.push(what);
      if (this.hangs) await never;
    };
    this.main = new ThreadPort<ThreadCalls, MainCalls>(this.#own, {
      apply: async (typeUrl, packed) => {
        this.applied.push([typeUrl, unpackUpdate(packed).changed.map(({ name }) => name)]);
        return this.hangs ? never : this.onApply();
      },
      forget: (names) => void this.said.push(`forget ${names.join(' ')}`),
      certificate: ({ serial }) => void this.certificates.push(serial),
      state: async () => {
        this.asked += 1;
        if (this.hangs) await never;
        return { open: { inbound: 0, outbound: 0 }, problems: [], hosts: [], metrics: [], ...this.state };
      },
      open: async () => {
        this.said.push('open');
        return this.hangs ? never : (this.state.open ?? { inbound: 0, outbound: 0 });
      },
      findDecisions: () => [],
      linesTaken: (length) => void this.said.push(`taken ${length}`),
      drain: say('drain'),
      endInbound: say('endInbound'),
      close: say('close'),
    });
  }

  postMessage(frame: unknown): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    if (!this.ended) this.#port.postMessage(frame);
  }

  /** As a thread that throws. */
  fail(reason: string): void {
    this.emit('error', new Error(reason));
    void this.terminate();
  }

  terminate(): Promise<number> {
    if (this.ended) return Promise.resolve(1);
    this.ended = true;
    this.emit('exit', 1);
    return Promise.resolve(1);
  }
}
