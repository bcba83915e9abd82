import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { saveLastGood, type LastGood } from './last-good.ts';

export interface LastGoodSaverOptions {
  readonly folder: string;
  /** What is to be kept at this moment; undefined where it is not whole. */
  readonly current: () => LastGood | undefined;
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Pick<Logger, 'error'>;
}

/** Changes that come together are written together, in milliseconds. */
const DELAY = 500;

/** Keeps the last good state on disk for a start without the CA: soon after each change, one write at a time. */
export class LastGoodSaver {
  readonly #options: LastGoodSaverOptions;
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: LastGoodSaverOptions) {
    this.#options = options;
  }

  saveSoon(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = this.#options.clock.after(DELAY, () => this.#save());
  }

  /** Resolves when what was to be saved is on disk. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== undefined) {
      this.#timer.cancel();
      this.#save();
    }
    await this.#saving;
  }

  #save(): void {
    this.#timer = undefined;
    const { folder, current, logger } = this.#options;
    const lastGood = current();
    if (lastGood === undefined) return;
    this.#saving = this.#saving
      .then(() => saveLastGood(folder, lastGood))
      .catch((error: unknown) => {
        logger.error('the configuration could not be saved for a restart', { reason: reasonOf(error) });
      });
  }
}
