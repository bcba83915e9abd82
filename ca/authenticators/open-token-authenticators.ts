import type { Settings } from '../../src/config/settings-table.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { createTokenReviewer } from '../../src/kubernetes/token-review.ts';
import type { TokenIssuer } from '../../src/token/issuer.ts';
import { createJwksFile } from '../../src/token/jwks-file.ts';
import { createJwksUrl } from '../../src/token/jwks-url.ts';
import type { KeySource } from '../../src/token/key-source.ts';
import { createOidcKeys } from '../../src/token/oidc-discovery.ts';
import type { TokenAuthenticator } from './authenticator.ts';
import { createJwksAuthenticator } from './jwks-authenticator.ts';
import { tokenReviewConfig } from './token-review-config.ts';
import { createTokenReviewAuthenticator } from './token-review-authenticator.ts';

export interface TokenAuthenticatorParts {
  readonly trustDomain: TrustDomain;
  /** The embedded issuer, where it is on. */
  readonly tokenIssuer: Pick<TokenIssuer, 'url' | 'keys'> | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each part that must be closed. */
  readonly started: <T>(part: T, stop: (part: T) => void) => T;
}

/**
 * Who may judge a token, by the settings: Kubernetes, an issuer whose keys are known, the embedded issuer.
 *
 * Where TokenReview is on, `ca.auth.issuer` is the API server's issuer and its keys only stand in for a review that
 * cannot be made: a signature says nothing of a pod or an account that has been deleted since.
 */
export async function openTokenAuthenticators(
  settings: Settings,
  parts: TokenAuthenticatorParts,
): Promise<TokenAuthenticator[]> {
  const { ca } = settings;
  const { trustDomain, tokenIssuer, env, clock, logger, started } = parts;
  const { audiences, issuer } = ca.auth;
  const authenticators: TokenAuthenticator[] = [];
  const config = tokenReviewConfig(settings, env);
  if (config !== undefined) {
    const reviewer = started(await createTokenReviewer({ config, clock }), (part) => part.close());
    const ofIssuer = issuer === undefined ? {} : { issuer };
    authenticators.push(createTokenReviewAuthenticator({ trustDomain, reviewer, audiences, clock, ...ofIssuer }));
  }
  if (issuer !== undefined) {
    const keys = openKeys(ca.auth, { issuer, clock, logger });
    const standsIn = config !== undefined;
    authenticators.push(createJwksAuthenticator({ trustDomain, issuer, audiences, keys, standsIn, clock }));
  }
  if (tokenIssuer !== undefined) {
    const { url, keys } = tokenIssuer;
    authenticators.push(createJwksAuthenticator({ trustDomain, issuer: url, audiences, keys, clock }));
  }
  if (authenticators.length === 0) {
    logger.warn('no token is accepted: set ca.tokenIssuer.enabled, ca.auth.issuer or ca.auth.tokenReview.enabled');
  }
  return authenticators;
}

/** The keys of the configured issuer: a file, a URL, or what its discovery document points to. */
function openKeys(
  { jwksFile, jwksUri, caFile }: Settings['ca']['auth'],
  { issuer, clock, logger }: Pick<TokenAuthenticatorParts, 'clock' | 'logger'> & { readonly issuer: string },
): KeySource {
  if (jwksFile !== undefined) return createJwksFile({ path: jwksFile, clock, logger });
  const remote = { clock, logger, ...(caFile === undefined ? {} : { caFile }) };
  return jwksUri === undefined ? createOidcKeys({ ...remote, issuer }) : createJwksUrl({ ...remote, url: jwksUri });
}
