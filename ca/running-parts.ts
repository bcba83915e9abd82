import type { Clock } from '../src/core/clock.ts';
import type { Logger } from '../src/core/logger.ts';
import { stopInOrder, type StoppingPart } from '../src/core/stop-in-order.ts';

/** What was started, to be stopped in the other order. */
export class RunningParts {
  readonly #parts: StoppingPart[] = [];

  /** Notes a part that has started, and gives it back. */
  readonly started = <T>(part: T, stop: (part: T) => Promise<void> | void): T => {
    this.#parts.push({ name: nameOf(part), stop: () => stop(part) });
    return part;
  };

  /** Stops them all. None is given up: the ledger's last entries may be on their way to a slow disk. */
  async stop(options: { readonly clock: Clock; readonly logger: Logger }): Promise<void> {
    await stopInOrder(this.#parts.splice(0).toReversed(), { ...options, patience: undefined });
  }
}

function nameOf(part: unknown): string {
  return typeof part === 'object' && part !== null ? part.constructor.name : typeof part;
}
