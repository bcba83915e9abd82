import type { Worker } from 'node:worker_threads';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { LedgerQueries } from './ledger-queries.ts';
import { liftError, type FromReader, type ToReader } from './worker-protocol.ts';

/** What structured cloning leaves of an answer: a Buffer arrives as a plain Uint8Array, which is what they declare. */
type Answer<K extends keyof LedgerQueries> = ReturnType<LedgerQueries[K]>;

interface Asked {
  readonly resolve: (value: never) => void;
  readonly reject: (error: SealwrightError) => void;
}

/** The most questions that may wait for an answer. */
const MOST_ASKED = 1_024;

/** Asks the reading thread, which is started by the first question and again by the next one after it died. */
export class LedgerReader {
  readonly #start: () => Worker;
  readonly #asked = new Map<number, Asked>();
  #worker: Worker | undefined;
  #lastId = 0;
  #closed = false;

  constructor(start: () => Worker) {
    this.#start = start;
  }

  /** @throws SealwrightError `ledger_unreadable`, `ledger_range`, `ledger_closed`, `ledger_overloaded` */
  ask<K extends keyof LedgerQueries>(query: K, ...args: Parameters<LedgerQueries[K]>): Promise<Answer<K>> {
    if (this.#closed) return Promise.reject(new SealwrightError('ledger_closed'));
    if (this.#asked.size >= MOST_ASKED) {
      return Promise.reject(new SealwrightError('ledger_overloaded', { questions: MOST_ASKED }));
    }
    this.#worker ??= this.#watch(this.#start());
    const worker = this.#worker;
    this.#lastId += 1;
    const message: ToReader = { id: this.#lastId, query, args };
    return new Promise((resolve, reject) => {
      this.#asked.set(message.id, { resolve, reject });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(message);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#fail(new SealwrightError('ledger_closed'));
    await worker?.terminate();
  }

  #watch(worker: Worker): Worker {
    let reason = new SealwrightError('ledger_unreadable', { reason: 'the reading thread has ended' });
    worker.on('message', (message: FromReader) => {
      if (message.type === 'failed') reason = liftError(message.error);
      if (message.type !== 'answer' && message.type !== 'error') return;
      const asked = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (message.type === 'answer') asked?.resolve(message.value as never);
      else asked?.reject(liftError(message.error));
    });
    worker.on('error', (error) => {
      reason = new SealwrightError('ledger_unreadable', { reason: reasonOf(error) });
    });
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#fail(reason);
    });
    // A question does not keep a process alive that has nothing else to do.
    worker.unref();
    return worker;
  }

  #fail(error: SealwrightError): void {
    this.#worker = undefined;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }
}
