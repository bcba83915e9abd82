import { join } from 'node:path';
import type { Settings } from '../src/config/settings-table.ts';
import type { Clock } from '../src/core/clock.ts';
import type { Logger } from '../src/core/logger.ts';
import type { TrustDomain } from '../src/identity/trust-domain.ts';
import { inClusterConfig } from '../src/kubernetes/api-access.ts';
import { createTokenReviewer } from '../src/kubernetes/token-review.ts';
import { createTokenIssuer, type TokenIssuer } from '../src/token/issuer.ts';
import { createJwksFile } from '../src/token/jwks-file.ts';
import { createJwksUrl } from '../src/token/jwks-url.ts';
import { createOidcKeys } from '../src/token/oidc-discovery.ts';
import type { TokenAuthenticator } from './authenticators/authenticator.ts';
import { createJwksAuthenticator } from './authenticators/jwks-authenticator.ts';
import { openTokenKey } from './authenticators/token-key.ts';
import { createTokenReviewAuthenticator } from './authenticators/token-review-authenticator.ts';

interface Opening {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The embedded issuer, where the settings switch it on. */
export async function openTokenIssuer(
  { ca }: Settings,
  {
    folder,
    clock,
    logger,
    randomBytes,
  }: Opening & { readonly folder: string; readonly randomBytes: (size: number) => Buffer },
): Promise<TokenIssuer | undefined> {
  if (!ca.tokenIssuer.enabled) return undefined;
  const privateKey = await openTokenKey(join(folder, 'token-key.pem'));
  logger.info('the embedded token issuer is on', { issuer: ca.tokenIssuer.url });
  return createTokenIssuer({ privateKey, url: ca.tokenIssuer.url, clock, randomBytes });
}

/** Who may judge a token, by the settings: Kubernetes, an issuer whose keys are known, the embedded issuer. */
export async function openTokenAuthenticators(
  { ca }: Settings,
  parts: Opening & {
    readonly trustDomain: TrustDomain;
    readonly tokenIssuer: TokenIssuer | undefined;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly started: <T>(part: T, stop: (part: T) => void) => T;
  },
): Promise<TokenAuthenticator[]> {
  const { trustDomain, tokenIssuer, env, clock, logger, started } = parts;
  const { audiences, issuer, jwksFile, jwksUri, caFile, tokenReview } = ca.auth;
  const authenticators: TokenAuthenticator[] = [];
  if (tokenReview.enabled) {
    const { kubeconfig } = tokenReview;
    const config = kubeconfig === undefined ? inClusterConfig(env) : { kubeconfig };
    const reviewer = started(await createTokenReviewer({ config, clock }), (part) => part.close());
    authenticators.push(createTokenReviewAuthenticator({ trustDomain, reviewer, audiences, clock }));
  }
  if (issuer !== undefined) {
    const remote = { clock, logger, ...(caFile === undefined ? {} : { caFile }) };
    const keys =
      jwksFile !== undefined
        ? createJwksFile({ path: jwksFile, clock, logger })
        : jwksUri !== undefined
          ? createJwksUrl({ ...remote, url: jwksUri })
          : createOidcKeys({ ...remote, issuer });
    authenticators.push(createJwksAuthenticator({ trustDomain, issuer, audiences, keys, clock }));
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
