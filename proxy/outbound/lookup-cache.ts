import { isIP } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';

/** Finds the addresses of a name, as the system does. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface LookupCacheOptions {
  readonly lookup: Lookup;
  readonly clock: Clock;
}

/** Milliseconds: the system's resolver tells no time to live, and this is what most programs assume. */
const KEPT = 10_000;
/** Milliseconds that a call waits for the resolver. */
const PATIENCE = 5_000;
const MAX_NAMES = 1024;

/** Addresses of names outside the mesh. Empty where there are none, or none in time. Never rejects. */
export class LookupCache {
  readonly #options: LookupCacheOptions;
  readonly #known = new Map<string, { readonly addresses: Promise<readonly string[]>; readonly until: number }>();

  constructor(options: LookupCacheOptions) {
    this.#options = options;
  }

  addressesOf(host: string): Promise<readonly string[]> {
    const now = this.#options.clock.elapsed();
    const known = this.#known.get(host);
    if (known !== undefined && now < known.until) return known.addresses;
    if (this.#known.size >= MAX_NAMES) this.#known.clear();
    const addresses = this.#ask(host);
    this.#known.set(host, { addresses, until: now + KEPT });
    return addresses;
  }

  #ask(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return Promise.resolve([host]);
    const { lookup, clock } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.after(PATIENCE, () => resolve([]));
      const answer = (addresses: readonly string[]): void => {
        timer.cancel();
        resolve(addresses);
      };
      lookup(host).then(answer, () => answer([]));
    });
  }
}
