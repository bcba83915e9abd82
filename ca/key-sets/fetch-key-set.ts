import type { Clock } from '../../src/core/clock.ts';
import type { KeyPlace } from '../../src/policy/request-authentication.ts';
import { withoutPrivateKeys } from '../../src/policy/public-key-set.ts';
import type { AddressGuard } from '../../src/token/address-guard.ts';
import { fetchKeySet } from '../../src/token/fetch-key-set.ts';

export interface KeySetFetcherOptions {
  readonly guard: AddressGuard;
  /** Milliseconds for one document. */
  readonly timeout: number;
  /** PEM of further roots for those who serve keys. */
  readonly caFile?: string | undefined;
  readonly clock: Pick<Clock, 'after'>;
}

/** Gets the key set of a place, as text: what is private in it is left out. */
export type KeySetFetcher = (place: KeyPlace) => Promise<string>;

export function createKeySetFetcher(options: KeySetFetcherOptions): KeySetFetcher {
  return async (place) => {
    if (place.kind === 'inline') return place.keySet;
    const bytes = await fetchKeySet(place.kind === 'address' ? { url: place.url } : { issuer: place.issuer }, options);
    return withoutPrivateKeys(bytes.toString('utf8'));
  };
}
