import type { Worker } from 'node:worker_threads';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { PendingEntry } from './ledger-writer.ts';
import type { SignedTreeHead } from './tree-head.ts';
import { liftError, liftHead, type FromWriter, type ToWriter } from './worker-protocol.ts';

/** Where an entry stands, once it is durable. */
export interface Receipt {
  readonly index: number;
}

export interface CommitQueueOptions {
  /** A thread that answers `ToWriter` with `FromWriter`; ended by `close`. */
  readonly worker: Worker;
  /** The most entries that may wait, those being written included. */
  readonly maxQueued: number;
  /** Called with the signed head of every commit, after it is durable. */
  readonly onTreeHead: (head: SignedTreeHead) => void;
  /** Called once where the writer ended other than by `close`. */
  readonly onStopped: (error: SealwrightError) => void;
}

/** What the writer said of the ledger when it had opened it. */
export type OpenedLedger = Extract<FromWriter, { type: 'ready' }>;

/** The most entries of one commit: bounds how long the others wait for it. */
const LARGEST_BATCH = 1_024;

interface Waiting {
  readonly pending: PendingEntry;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: SealwrightError) => void;
}

/**
 * Group commit, seen from the thread that appends. One batch is with the writer at a time; what is appended meanwhile
 * is the next batch, so that batches grow with the load, and the cost of an fsync is shared by those who waited for it.
 */
export class CommitQueue {
  readonly opened: Promise<OpenedLedger>;
  readonly #options: CommitQueueOptions;
  readonly #exited: Promise<void>;
  #waiting: Waiting[] = [];
  #inFlight: Waiting[] = [];
  #scheduled = false;
  #closing = false;
  #closed = false;
  #ended: SealwrightError | undefined;
  #commitFailure: SealwrightError | undefined;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
    const { worker } = options;
    const opening = Promise.withResolvers<OpenedLedger>();
    this.opened = opening.promise;
    worker.on('message', (message: FromWriter) => {
      if (message.type === 'ready') opening.resolve({ ...message, head: liftHead(message.head) });
      else this.#receive(message);
    });
    worker.on('error', (error) => this.#end(new SealwrightError('ledger_stopped', { reason: reasonOf(error) })));
    this.#exited = new Promise((resolve) => {
      worker.on('exit', (exitCode) => {
        if (!this.#closed) this.#end(new SealwrightError('ledger_stopped', { exitCode }));
        if (this.#ended !== undefined) opening.reject(this.#ended);
        resolve();
      });
    });
  }

  /**
   * Resolves when the entry is durable.
   *
   * @throws SealwrightError `ledger_overloaded`, `ledger_unwritable`, `ledger_serial_taken`, `ledger_closed`,
   * `ledger_fenced`, `ledger_stopped`
   */
  append(pending: PendingEntry): Promise<Receipt> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#closing) return Promise.reject(new SealwrightError('ledger_closed'));
    if (this.#waiting.length + this.#inFlight.length >= this.#options.maxQueued) {
      return Promise.reject(new SealwrightError('ledger_overloaded', { waiting: this.#options.maxQueued }));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ pending, resolve, reject });
      if (this.#inFlight.length > 0 || this.#scheduled) return;
      this.#scheduled = true;
      // After the callbacks of this turn of the event loop: what they append belongs into the same commit.
      setImmediate(() => {
        this.#scheduled = false;
        this.#send();
      });
    });
  }

  /** Writes what waits, and ends the writer. Later appends are refused. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#send();
    }
    await this.#exited;
  }

  /** Why nothing more will ever be written. */
  get ended(): SealwrightError | undefined {
    return this.#ended;
  }

  /** Why the last commit failed; undefined where it did not. */
  get commitFailure(): SealwrightError | undefined {
    return this.#commitFailure;
  }

  #post(message: ToWriter): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#options.worker.postMessage(message);
  }

  #send(): void {
    if (this.#ended !== undefined || this.#inFlight.length > 0) return;
    if (this.#waiting.length > LARGEST_BATCH) {
      this.#inFlight = this.#waiting.slice(0, LARGEST_BATCH);
      this.#waiting = this.#waiting.slice(LARGEST_BATCH);
    } else {
      this.#inFlight = this.#waiting;
      this.#waiting = [];
    }
    if (this.#inFlight.length > 0) this.#post({ type: 'append', batch: this.#inFlight.map(({ pending }) => pending) });
    else if (this.#closing) this.#post({ type: 'close' });
  }

  #receive(message: Exclude<FromWriter, { type: 'ready' }>): void {
    switch (message.type) {
      case 'committed':
        this.#settle(message);
        break;
      case 'failed': {
        const error = liftError(message.error);
        this.#commitFailure = error;
        for (const { reject } of this.#takeInFlight()) reject(error);
        break;
      }
      case 'stopped':
        this.#end(liftError(message.error));
        return;
      case 'closed':
        this.#closed = true;
        this.#end(new SealwrightError('ledger_closed'));
        return;
      default:
        message satisfies never;
    }
    this.#send();
  }

  #settle({ first, refused, head }: Extract<FromWriter, { type: 'committed' }>): void {
    const batch = this.#takeInFlight();
    this.#commitFailure = undefined;
    this.#options.onTreeHead(liftHead(head));
    const taken = new Set(refused);
    let index = first;
    for (const [position, { pending, resolve, reject }] of batch.entries()) {
      if (taken.has(position)) reject(new SealwrightError('ledger_serial_taken', { serial: pending.serial }));
      else {
        resolve({ index });
        index += 1;
      }
    }
  }

  #takeInFlight(): Waiting[] {
    const batch = this.#inFlight;
    this.#inFlight = [];
    return batch;
  }

  /** The first reason counts: a thread that says why it stops also exits. */
  #end(error: SealwrightError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const { reject } of [...this.#takeInFlight(), ...this.#waiting]) reject(error);
    this.#waiting = [];
    if (!this.#closed) this.#options.onStopped(error);
  }
}
