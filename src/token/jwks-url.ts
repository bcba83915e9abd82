import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { CachedKeys } from './cached-keys.ts';
import { createKeyFetcher } from './key-fetcher.ts';
import { parseKeyUrl } from './key-url.ts';
import { parseJwkSet, type JwkSet } from './jwks.ts';

export interface RemoteKeysOptions {
  /** PEM; replaces the system's roots. On a cluster: the API server's CA. */
  readonly caFile?: string;
  /** Sent as bearer to the configured origin alone. */
  readonly tokenFile?: string;
  /** Milliseconds for one document. */
  readonly timeout?: number;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly logger: Logger;
}

/**
 * Five minutes: Envoy's and Istio's age for a cached key set is of this size, and SPIFFE's default refresh
 * (SPIFFE Trust Domain and Bundle 4.1.3) is the same. It bounds how long a withdrawn key is still believed.
 */
const FRESH_FOR = 300_000;

/** A new key is met as an unknown kid; ten seconds is the longest that a flood of those can delay learning it. */
const READINGS = { burst: 3, perSecond: 0.1 };

/**
 * Keys at an address, such as a Kubernetes API server's `/openid/v1/jwks`.
 *
 * @throws SealwrightError `jwks_url_refused` where it is not https (plain http on loopback is taken)
 */
export function createJwksUrl(options: RemoteKeysOptions & { readonly url: string }): CachedKeys {
  const url = parseKeyUrl(options.url);
  const fetchDocument = createKeyFetcher({ ...options, tokenOrigin: url.origin });
  return createRemoteKeys(url.href, async () => parseJwkSet(await fetchDocument(url)), options);
}

export function createRemoteKeys(name: string, load: () => Promise<JwkSet>, options: RemoteKeysOptions): CachedKeys {
  const { clock, logger } = options;
  return new CachedKeys({ name, load, freshFor: FRESH_FOR, whenStale: 'serve', readings: READINGS, clock, logger });
}
