import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import type { KeyPlace } from '../../src/policy/request-authentication.ts';
import type { KeySetFetcher } from './fetch-key-set.ts';

/** Istio's: how often keys are looked at again, and how long after a failure, in milliseconds. */
const REFRESH = 20 * 60_000;
const RETRY = { initial: 60_000, max: 60 * 60_000 } as const;

/** How often sidecars that met an unknown key may make us look again, for each set. */
const ASKS = { burst: 3, perSecond: 0.1 } as const;

/** Sets that are kept: a person who may write policies must not be able to fill our memory with them. */
const MOST_SETS = 1_000;

/** Readings under way at once: one that hangs must not hold the others up. */
const MOST_READINGS = 16;

/** A set of keys as it was last read. */
export interface HeldKeySet {
  readonly name: string;
  /** A JSON Web Key Set. */
  readonly text: string;
  /** Counts up each time that somebody asked and it was read: who waits for that has to see it. */
  readonly looks: number;
}

export interface KeySetsOptions {
  readonly fetch: KeySetFetcher;
  /** Told of each set that is another now. */
  readonly onChange: () => void;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  readonly random: Random;
  readonly logger: Logger;
}

interface Entry {
  readonly name: string;
  readonly place: KeyPlace;
  readonly backoff: Backoff;
  readonly asks: TokenBucket;
  held: HeldKeySet | undefined;
  timer: Timer | undefined;
  reading: boolean;
  /** Whether somebody asked since the last reading began. */
  asked: boolean;
}

/**
 * The keys of the issuers that policies name: read when a policy first names them, again at intervals and when a
 * sidecar meets a key that is not among them. A reading that fails leaves the last good keys.
 */
export class KeySets {
  readonly #options: KeySetsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  #readings = 0;
  #closed = false;

  constructor(options: KeySetsOptions) {
    this.#options = options;
  }

  get(name: string): HeldKeySet | undefined {
    return this.#entries.get(name)?.held;
  }

  /** Keeps exactly these from now on. */
  keep(places: ReadonlyMap<string, KeyPlace>): void {
    for (const [name, entry] of this.#entries) {
      if (places.has(name)) continue;
      entry.timer?.cancel();
      this.#entries.delete(name);
    }
    const { random, clock, logger } = this.#options;
    for (const [name, place] of places) {
      if (this.#entries.has(name)) continue;
      if (this.#entries.size >= MOST_SETS) {
        logger.error('too many key sets are named by policies: tokens of this one are refused', { keys: name });
        continue;
      }
      const entry: Entry = {
        name,
        place,
        backoff: new Backoff({ ...RETRY, random }),
        asks: new TokenBucket({ ...ASKS, clock }),
        held: undefined,
        timer: undefined,
        reading: false,
        asked: false,
      };
      this.#entries.set(name, entry);
      this.#read(entry);
    }
  }

  /** A sidecar met a key that it does not know. */
  lookAgain(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || !entry.asks.take()) return;
    entry.asked = true;
    this.#read(entry);
  }

  close(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) entry.timer?.cancel();
    this.#entries.clear();
    this.#queue.length = 0;
  }

  #read(entry: Entry): void {
    if (entry.reading) return;
    entry.timer?.cancel();
    entry.reading = true;
    this.#queue.push(entry);
    this.#next();
  }

  #next(): void {
    if (this.#closed || this.#readings >= MOST_READINGS) return;
    const entry = this.#queue.shift();
    if (entry === undefined) return;
    this.#readings += 1;
    void this.#readNow(entry);
  }

  async #readNow(entry: Entry): Promise<void> {
    // It may have waited for its turn until nobody wanted it any more.
    if (this.#isKept(entry)) await this.#fetch(entry);
    this.#readings -= 1;
    this.#next();
  }

  async #fetch(entry: Entry): Promise<void> {
    const { fetch, clock, random, logger, onChange } = this.#options;
    const { name, asked } = entry;
    // Whoever asks from here on may mean a key that this reading is too early for.
    entry.asked = false;
    let delay: number;
    try {
      const text = await fetch(entry.place);
      if (!this.#isKept(entry)) return;
      entry.backoff.reset();
      // Spread out, so that not all sets are read in the same moment for ever.
      delay = REFRESH * (0.9 + 0.2 * random());
      const before = entry.held;
      if (before?.text !== text || asked) {
        entry.held = Object.freeze({ name, text, looks: (before?.looks ?? 0) + (asked ? 1 : 0) });
        if (before?.text !== text) logger.info('the keys of an issuer were read', { keys: name });
        onChange();
      }
    } catch (error) {
      if (!this.#isKept(entry)) return;
      delay = entry.backoff.next();
      logger.warn('the keys of an issuer could not be read', {
        keys: name,
        code: error instanceof SealwrightError ? error.code : undefined,
        reason: reasonOf(error),
        kept: entry.held === undefined ? 'there are none yet: its tokens are refused' : 'the last good ones stay',
        nextTryInMs: delay,
      });
    } finally {
      entry.reading = false;
    }
    if (entry.asked) this.#read(entry);
    else entry.timer = clock.after(delay, () => this.#read(entry));
  }

  #isKept(entry: Entry): boolean {
    return !this.#closed && this.#entries.get(entry.name) === entry;
  }
}
