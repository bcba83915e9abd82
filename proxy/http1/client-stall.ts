import { cancelDeadline, DeadlineEntry, type DeadlineQueue, type Expiring } from '../tcp/deadlines.ts';

/**
 * Watches that a client does its part in an exchange: sends the body that it announced, reads the answer that it asked
 * for. Nothing of it exists while a client owes nothing, as in nearly every exchange.
 */
export class ClientStall implements Expiring {
  readonly deadline: DeadlineEntry = new DeadlineEntry(this);
  readonly #queue: DeadlineQueue;
  readonly #onStalled: () => void;

  constructor(queue: DeadlineQueue, onStalled: () => void) {
    this.#queue = queue;
    this.#onStalled = onStalled;
  }

  get armed(): boolean {
    return this.deadline.queue !== undefined;
  }

  /** It is the client's turn, from now on. */
  arm(): void {
    this.#queue.add(this.deadline);
  }

  cancel(): void {
    cancelDeadline(this.deadline);
  }

  onDeadline(): void {
    this.#onStalled();
  }
}
