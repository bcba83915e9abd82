import type { Clock } from '../core/clock.ts';
import type { AddressGuard } from './address-guard.ts';
import { createKeyFetcher } from './key-fetcher.ts';
import { parseKeyAddress } from './key-url.ts';
import { readJwkSet } from './jwks.ts';
import { keySetAddress } from './oidc-discovery.ts';

export interface FetchKeySetOptions {
  /** Judges each address that is connected to. */
  readonly guard: AddressGuard;
  /** Milliseconds for one document. */
  readonly timeout?: number | undefined;
  readonly caFile?: string | undefined;
  readonly clock: Pick<Clock, 'after'>;
}

/**
 * Fetches a key set from an address that somebody wrote into a policy, or finds it by the discovery document of an
 * issuer (OIDC Discovery 4), and answers its bytes, which are a key set.
 *
 * @throws SealwrightError `jwks_url_refused`, `jwks_unreachable`, `jwks_invalid`, `oidc_issuer_mismatch`
 */
export async function fetchKeySet(
  place: { readonly url: string } | { readonly issuer: string },
  options: FetchKeySetOptions,
): Promise<Buffer> {
  const fetchDocument = createKeyFetcher({ ...options, tokenOrigin: '' });
  const address =
    'url' in place
      ? parseKeyAddress(place.url)
      : keySetAddress(
          await fetchDocument(parseKeyAddress(`${place.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)),
          place.issuer,
          parseKeyAddress,
        );
  const bytes = await fetchDocument(address);
  readJwkSet(bytes);
  return bytes;
}
