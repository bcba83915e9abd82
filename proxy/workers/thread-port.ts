import { ERRORS, SealwrightError, reasonOf, type ErrorCode, type ErrorFields } from '../../src/core/errors.ts';

/** What one side does for the other, by name. Arguments and answers are plain values: they are copied. */
type Calls = Readonly<Record<string, (...args: never[]) => unknown>>;

type Answer<C extends Calls, K extends keyof C> = Awaited<ReturnType<C[K]>>;

interface Failure {
  readonly code: ErrorCode | undefined;
  readonly fields: ErrorFields;
  readonly reason: string;
}

type Frame =
  | { readonly kind: 'call'; readonly id: number | undefined; readonly name: string; readonly args: readonly unknown[] }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: Failure };

/** Either end of a channel between threads. */
export interface FramePort {
  postMessage(frame: unknown): void;
  on(event: string, listener: (value: unknown) => void): unknown;
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Calls between two threads, in the order in which they are made. What goes through is as good as memory: both ends are
 * ours, of one version and of one process.
 */
export class ThreadPort<Own extends Calls, Other extends Calls> {
  readonly #port: FramePort;
  readonly #own: Own;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #ended: Error | undefined;

  /** What is thrown by a call that nobody awaits is thrown here too, and ends the thread if nobody catches it. */
  constructor(port: FramePort, own: Own) {
    this.#port = port;
    this.#own = own;
    port.on('message', (frame) => this.#received(frame as Frame));
  }

  /** Calls and awaits the answer. Rejects with what was thrown there, or with why the other thread has ended. */
  call<K extends keyof Other & string>(name: K, ...args: Parameters<Other[K]>): Promise<Answer<Other, K>> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#send({ kind: 'call', id, name, args });
    });
  }

  /** Calls and awaits nothing. */
  tell<K extends keyof Other & string>(name: K, ...args: Parameters<Other[K]>): void {
    this.#send({ kind: 'call', id: undefined, name, args });
  }

  /** The other thread has ended: nothing more is answered. */
  end(error: Error): void {
    this.#ended = error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }

  #send(frame: Frame): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    if (this.#ended === undefined) this.#port.postMessage(frame);
  }

  #received(frame: Frame): void {
    if (frame.kind === 'call') {
      this.#called(frame);
      return;
    }
    const waiting = this.#waiting.get(frame.id);
    this.#waiting.delete(frame.id);
    if (frame.kind === 'answer') waiting?.resolve(frame.value as never);
    else waiting?.reject(errorOf(frame.failure));
  }

  #called({ id, name, args }: Extract<Frame, { kind: 'call' }>): void {
    const call = this.#own[name] as ((...args: readonly unknown[]) => unknown) | undefined;
    if (call === undefined) throw new TypeError(`no call ${name}`);
    if (id === undefined) {
      call(...args);
      return;
    }
    void this.#answer(id, call, args);
  }

  async #answer(id: number, call: (...args: readonly unknown[]) => unknown, args: readonly unknown[]): Promise<void> {
    try {
      this.#send({ kind: 'answer', id, value: await call(...args) });
    } catch (error) {
      this.#send({ kind: 'failure', id, failure: failureOf(error) });
    }
  }
}

function failureOf(error: unknown): Failure {
  if (!(error instanceof SealwrightError)) return { code: undefined, fields: {}, reason: reasonOf(error) };
  return { code: error.code, fields: error.fields, reason: error.message };
}

function errorOf({ code, fields, reason }: Failure): Error {
  return code !== undefined && code in ERRORS ? new SealwrightError(code, fields) : new Error(reason);
}
