import { SealwrightError } from '../core/errors.ts';

declare const parsed: unique symbol;

/** The name of a trust domain, checked. Comparing two of them is comparing strings. */
export type TrustDomain = string & { readonly [parsed]: 'trust domain' };

/** SPIFFE-ID 2.1: the host of a SPIFFE ID. Upper case is refused, as go-spiffe does. */
const CHARACTERS = /^[a-z0-9._-]+$/;

/** SPIFFE-ID 2.3. */
const LONGEST = 255;

/**
 * Reads the name of a trust domain (not its `spiffe://` form).
 *
 * @throws SealwrightError `trust_domain_invalid`
 */
export function parseTrustDomain(name: string): TrustDomain {
  if (!isTrustDomain(name)) throw new SealwrightError('trust_domain_invalid', { got: name.slice(0, 300) });
  return name;
}

export function isTrustDomain(name: string): name is TrustDomain {
  return name.length <= LONGEST && CHARACTERS.test(name);
}
