import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import type { LedgerEntry, OperatorRefusalEntry, RefusalEntry } from '../ledger/entry.ts';

export interface RefusalLedgerOptions {
  readonly append: (entry: LedgerEntry) => Promise<unknown>;
  /** Takes the refusals of more identities than are told apart. */
  readonly countOnly: (reason: string, identity: string) => void;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly logger: Logger;
}

/** Entries of one identity: at once, and then one every six seconds. */
const BURST = 10;
const PER_SECOND = 1 / 6;

/** How often an identity's counted refusals become one entry, in milliseconds; after it an idle bucket is full again. */
const INTERVAL = 60_000;

const MOST_IDENTITIES = 1_024;

type AnyRefusal = RefusalEntry | OperatorRefusalEntry;

interface Refused {
  /** The entry for those that were only counted. */
  readonly summaryOf: (reason: string, detail: string) => AnyRefusal;
  readonly bucket: TokenBucket;
  /** By reason, since the last entry for all of them. */
  counts: Map<string, number>;
  idle: boolean;
}

/**
 * Ledgers the refusals of callers whose identity was proven, and of operators: a few one by one, the rest as one entry
 * for each of them and minute. Otherwise one workload with a valid token could fill the disk for all.
 */
export class RefusalLedger {
  readonly #options: RefusalLedgerOptions;
  readonly #refused = new Map<string, Refused>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: RefusalLedgerOptions) {
    this.#options = options;
  }

  /** Resolves once the refusal is durable, counted, or could not be ledgered, which is logged. */
  async record(entry: AnyRefusal): Promise<void> {
    const refused = this.#of(entry);
    if (refused === undefined) {
      this.#options.countOnly(entry.reason, nameOf(entry));
      return;
    }
    refused.idle = false;
    this.#arm();
    if (refused.bucket.take()) return this.#append(entry);
    // Reasons are codes of the table of errors, so there are not many.
    refused.counts.set(entry.reason, (refused.counts.get(entry.reason) ?? 0) + 1);
  }

  /** Ledgers what was only counted since the last minute. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#flush();
  }

  #of(entry: AnyRefusal): Refused | undefined {
    const name = nameOf(entry);
    const known = this.#refused.get(name);
    if (known !== undefined || this.#refused.size >= MOST_IDENTITIES) return known;
    const bucket = new TokenBucket({ burst: BURST, perSecond: PER_SECOND, clock: this.#options.clock });
    const summaryOf = (reason: string, detail: string): AnyRefusal =>
      entry.kind === 'refusal'
        ? { kind: 'refusal', identity: entry.identity, reason, detail }
        : { kind: 'operator-refusal', actor: entry.actor, operation: 'several', reason, detail };
    const made = { summaryOf, bucket, counts: new Map<string, number>(), idle: false };
    this.#refused.set(name, made);
    return made;
  }

  async #flush(): Promise<void> {
    const appends: Promise<void>[] = [];
    for (const [name, refused] of this.#refused) {
      const { counts, idle } = refused;
      if (idle) this.#refused.delete(name);
      refused.idle = true;
      const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
      if (most === undefined) continue;
      refused.counts = new Map();
      const detail = `more refusals, not ledgered one by one: ${[...counts].map((count) => count.join(' ')).join(', ')}`;
      appends.push(this.#append(refused.summaryOf(most[0], detail)));
    }
    await Promise.all(appends);
  }

  async #append(entry: AnyRefusal): Promise<void> {
    const { append, logger } = this.#options;
    try {
      await append(entry);
    } catch (error) {
      logger.error('a refusal could not be ledgered', { identity: nameOf(entry), reason: reasonOf(error) });
    }
  }

  #arm(): void {
    if (this.#closed) return;
    this.#timer ??= this.#options.clock.after(INTERVAL, () => {
      this.#timer = undefined;
      void this.#flush();
      if (this.#refused.size > 0) this.#arm();
    });
  }
}

/** No name of an operator looks like a SPIFFE ID. */
function nameOf(entry: AnyRefusal): string {
  return entry.kind === 'refusal' ? entry.identity.toString() : entry.actor;
}
