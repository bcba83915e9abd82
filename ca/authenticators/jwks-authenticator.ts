import type { Clock } from '../../src/core/clock.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { KeySource } from '../../src/token/key-source.ts';
import { validateServiceAccountToken } from '../../src/token/service-account-token.ts';
import type { TokenAuthenticator } from './authenticator.ts';
import { outcomeOf } from './outcome.ts';
import { nameOfToken } from './token-name.ts';

export interface JwksAuthenticatorOptions {
  readonly trustDomain: TrustDomain;
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  /** Whether it only stands in for a TokenReview that cannot be made; off if not given. */
  readonly standsIn?: boolean;
  /** Milliseconds; one minute if not given. */
  readonly leeway?: number;
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Judges service account tokens by the public keys of their issuer, without asking anybody. It is fast and needs no
 * API server, but sees neither a deleted pod nor a deleted account before the token ends.
 */
export function createJwksAuthenticator(options: JwksAuthenticatorOptions): TokenAuthenticator {
  const { trustDomain, issuer, audiences, keys, standsIn = false, leeway, clock } = options;
  const name = 'jwks';
  return {
    name,
    issuer,
    standsIn,
    authenticate: async (_compact, jwt) => {
      try {
        const claims = await validateServiceAccountToken(jwt, { issuer, audiences, keys, clock, leeway });
        return {
          kind: 'granted',
          caller: {
            identity: SpiffeId.ofWorkload(trustDomain, claims),
            method: 'jwks',
            tokenAuthenticatedAt: clock.now(),
            pod: claims.pod,
            node: claims.node,
            // As a stand-in it judges the tokens of the very API server that can be asked again later.
            serviceAccountUid: standsIn ? claims.serviceAccountUid : undefined,
            credential: nameOfToken(claims),
          },
        };
      } catch (error) {
        return outcomeOf(error, name);
      }
    },
  };
}
