import { SealwrightError } from '../../core/errors.ts';
import type { CallRequest } from './application-child.ts';
import type { Call, CallOutcome } from './call.ts';
import type { DemoChild } from './child-process.ts';

/** The demo's end of an application: it can be asked to make a call. */
export class Application {
  readonly port: number;
  readonly #child: DemoChild;
  readonly #waiting = new Map<number, (outcome: CallOutcome) => void>();
  #calls = 0;

  private constructor(child: DemoChild, port: number) {
    this.#child = child;
    this.port = port;
    child.onMessage((message) => {
      if (!isAnswer(message)) return;
      this.#waiting.get(message.id)?.(message.outcome);
      this.#waiting.delete(message.id);
    });
  }

  /** Resolves when it listens. */
  static async of(child: DemoChild): Promise<Application> {
    const port = await new Promise<number>((resolve, reject) => {
      child.onMessage((message) => {
        if (typeof message !== 'object' || message === null) return;
        if ('port' in message) resolve(Number(message.port));
        if ('failed' in message) {
          reject(new SealwrightError('demo_failed', { step: child.name, reason: String(message.failed) }));
        }
      });
      child.whenEnded(reject);
    });
    return new Application(child, port);
  }

  /** Has it make a call, through its sidecar or wherever the call says. */
  call(call: Call): Promise<CallOutcome> {
    this.#calls += 1;
    const request: CallRequest = { id: this.#calls, call };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, resolve);
      this.#child.whenEnded(reject);
      this.#child.send({ ...request });
    });
  }
}

function isAnswer(message: unknown): message is { readonly id: number; readonly outcome: CallOutcome } {
  return typeof message === 'object' && message !== null && 'id' in message && 'outcome' in message;
}
