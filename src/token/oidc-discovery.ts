import { SealwrightError } from '../core/errors.ts';
import type { CachedKeys } from './cached-keys.ts';
import { createKeyFetcher } from './key-fetcher.ts';
import { parseKeyUrl } from './key-url.ts';
import { parseJwkSet } from './jwks.ts';
import { createRemoteKeys, type RemoteKeysOptions } from './jwks-url.ts';
import { member, parseJsonObject } from './strict-json.ts';

/**
 * Keys of an OIDC issuer, found by its discovery document (OIDC Discovery 4). Both documents are fetched at each
 * reading, since an issuer may move its keys.
 *
 * The document must name exactly the configured issuer (4.3), character by character: else whoever is allowed to
 * answer for one path of a shared host could answer for another.
 *
 * @throws SealwrightError `jwks_url_refused` where the issuer is not https (plain http on loopback is taken)
 */
export function createOidcKeys(options: RemoteKeysOptions & { readonly issuer: string }): CachedKeys {
  const { issuer } = options;
  const { origin } = parseKeyUrl(issuer);
  // OIDC Discovery 4: a closing slash of the issuer is taken away before the well-known path is added.
  const document = parseKeyUrl(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const fetchDocument = createKeyFetcher({ ...options, tokenOrigin: origin });
  const load = async () =>
    parseJwkSet(await fetchDocument(keySetAddress(await fetchDocument(document), issuer, parseKeyUrl)));
  return createRemoteKeys(`issuer ${issuer}`, load, options);
}

/**
 * The address that a discovery document gives, once it was found to be the issuer's own.
 *
 * @throws SealwrightError `jwks_invalid`, `oidc_issuer_mismatch`, `jwks_url_refused`
 */
export function keySetAddress(document: Buffer, issuer: string, parseAddress: (text: string) => URL): URL {
  const metadata = parseJsonObject(document, (reason) => {
    throw new SealwrightError('jwks_invalid', { reason: `the discovery document is ${reason}` });
  });
  const [named, address] = [member(metadata, 'issuer'), member(metadata, 'jwks_uri')];
  if (named !== issuer) {
    const got = typeof named === 'string' ? named.slice(0, 300) : undefined;
    throw new SealwrightError('oidc_issuer_mismatch', { got, wanted: issuer });
  }
  if (typeof address !== 'string') {
    throw new SealwrightError('jwks_invalid', { reason: 'the discovery document has no jwks_uri' });
  }
  return parseAddress(address);
}
