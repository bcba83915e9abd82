import type { Clock } from '../core/clock.ts';
import { reasonOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { JwtHeader } from './jwt.ts';
import type { JwkSet, VerificationKey } from './jwks.ts';
import { selectKeys, type KeySource } from './key-source.ts';

export interface CachedKeysOptions {
  readonly name: string;
  /** Reads the set. Gets the last one, which it may answer again where nothing changed. */
  readonly load: (last: JwkSet | undefined) => Promise<JwkSet>;
  /** How old a set may get before a use of it causes a reading, in milliseconds. */
  readonly freshFor: number;
  /** Whether that use waits for the reading (a file), or is served from the old set meanwhile (a network). */
  readonly whenStale: 'wait' | 'serve';
  /** How many readings there may be, for whatever reason. */
  readonly readings: { readonly burst: number; readonly perSecond: number };
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
}

/**
 * Keys that are read from elsewhere and kept. They are read again when they are old and when a token asks for a key
 * that is not among them, one reading at a time and no faster than `readings`: an unknown kid costs whoever sends it
 * nothing, so it must not be able to make us hammer the issuer. A reading that fails leaves the last good keys.
 */
export class CachedKeys implements KeySource {
  readonly name: string;
  readonly #options: CachedKeysOptions;
  readonly #readings: TokenBucket;
  #set: JwkSet | undefined;
  #readAt = 0;
  #failure: Error | undefined;
  #reading: Promise<void> | undefined;

  constructor(options: CachedKeysOptions) {
    this.name = options.name;
    this.#options = options;
    this.#readings = new TokenBucket({ ...options.readings, clock: options.clock });
  }

  async find(header: JwtHeader): Promise<readonly VerificationKey[]> {
    const set = await this.#current();
    const found = selectKeys(set, header);
    if (found.length > 0) return found;
    await this.#read();
    return selectKeys(this.#set ?? set, header);
  }

  /** Reads the keys again now, whatever the limit, and says whether that succeeded. */
  async reload(): Promise<boolean> {
    await this.#reading;
    await this.#start();
    return this.#failure === undefined;
  }

  async #current(): Promise<JwkSet> {
    const { clock, freshFor, whenStale } = this.#options;
    if (this.#set === undefined) {
      await this.#read();
      if (this.#set === undefined) throw this.#failure ?? new Error('no key set was read');
    } else if (clock.elapsed() - this.#readAt >= freshFor) {
      const reading = this.#read();
      if (whenStale === 'wait') await reading;
    }
    return this.#set;
  }

  /** Waits for a reading: the one under way, or a new one if the limit allows it. Never throws. */
  async #read(): Promise<void> {
    if (this.#reading === undefined && !this.#readings.take()) return;
    await (this.#reading ?? this.#start());
  }

  #start(): Promise<void> {
    const reading = this.#load().finally(() => {
      if (this.#reading === reading) this.#reading = undefined;
    });
    this.#reading = reading;
    return reading;
  }

  async #load(): Promise<void> {
    const { load, clock, logger } = this.#options;
    const last = this.#set;
    try {
      const set = await load(last);
      this.#readAt = clock.elapsed();
      this.#failure = undefined;
      if (set === last) return;
      this.#set = set;
      const about = { keys: this.name, usable: set.keys.length, skipped: set.skipped.join('; ') || undefined };
      if (set.keys.length === 0) logger.warn('the key set has no usable key: every token is refused', about);
      else logger.debug('read the key set', about);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(reasonOf(error));
      const kept = last === undefined ? 'there are none yet' : `${last.keys.length} last good keys stay in use`;
      logger.warn('could not read the key set', { keys: this.name, reason: reasonOf(error), kept });
    }
  }
}
