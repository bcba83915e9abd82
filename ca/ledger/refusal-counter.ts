import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { LedgerEntry } from './entry.ts';

export interface RefusalCounterOptions {
  readonly append: (entry: LedgerEntry) => Promise<unknown>;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly logger: Logger;
}

/** One entry a minute at most: 1440 a day, whatever strangers send. */
const INTERVAL = 60_000;

/** Reasons are codes of our own; the limits hold even if one were made out of what a peer sent. */
const MOST_REASONS = 64;
const MOST_CALLERS = 1_024;
const REASON = /^[a-z][a-z0-9_]{0,63}$/;

/**
 * Counts the refusals of callers whose identity was not proven, and ledgers one bounded summary a minute. Each such
 * refusal as an entry of its own would let anybody who reaches the port fill the disk.
 */
export class RefusalCounter {
  readonly #options: RefusalCounterOptions;
  readonly #callers = new Set<string>();
  #counts = new Map<string, number>();
  #from = 0;
  #timer: Timer | undefined;
  #closed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: RefusalCounterOptions) {
    this.#options = options;
  }

  /** Counts one refusal; `reason` is a code, `remoteAddress` is only counted, never kept. */
  count(reason: string, remoteAddress: string): void {
    const { clock } = this.#options;
    if (this.#counts.size === 0) this.#from = clock.now();
    const known = this.#counts.has(reason) || (this.#counts.size < MOST_REASONS && REASON.test(reason));
    this.#add(known ? reason : 'other', 1);
    if (this.#callers.size < MOST_CALLERS) this.#callers.add(remoteAddress);
    this.#arm();
  }

  /** Ledgers what was counted since the last summary. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#flush();
    await this.#writing;
  }

  #add(reason: string, count: number): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
  }

  #flush(): void {
    if (this.#counts.size === 0) return;
    const { append, clock, logger } = this.#options;
    const [from, counts, callers] = [this.#from, this.#counts, [...this.#callers]];
    this.#counts = new Map();
    this.#callers.clear();
    const entry: LedgerEntry = {
      kind: 'refusal-summary',
      from,
      // A clock that was set back does not make the stretch end before it began.
      to: Math.max(from, clock.now()),
      counts: Object.fromEntries(counts),
      callers: callers.length,
    };
    this.#writing = append(entry).then(
      () => undefined,
      (error: unknown) => {
        logger.warn('refusals could not be ledgered; they go into the next summary', { reason: reasonOf(error) });
        this.#from = from;
        for (const [reason, count] of counts) this.#add(reason, count);
        for (const caller of callers) if (this.#callers.size < MOST_CALLERS) this.#callers.add(caller);
        this.#arm();
      },
    );
  }

  #arm(): void {
    if (this.#closed) return;
    this.#timer ??= this.#options.clock.after(INTERVAL, () => {
      this.#timer = undefined;
      this.#flush();
    });
  }
}
