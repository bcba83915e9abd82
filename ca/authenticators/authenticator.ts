import type { ErrorCode } from '../../src/core/errors.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { Jwt } from '../../src/token/jwt.ts';
import type { BoundObject } from '../../src/token/service-account-token.ts';

/** Who a caller has been found to be. Nothing in it is secret. */
export interface Caller {
  readonly identity: SpiffeId;
  readonly method: 'token-review' | 'jwks' | 'svid' | 'operator';
  /** When a token last proved this identity, in wall milliseconds: now, or inherited along renewals by SVID. */
  readonly tokenAuthenticatedAt: number;
  /** The pod that the token is bound to. */
  readonly pod?: BoundObject | undefined;
  /**
   * Which of the accounts that had this name one after the other; only where the API server that this CA asks has
   * said so, since it is what that server is asked about again.
   */
  readonly serviceAccountUid?: string | undefined;
  /** The node of that pod; an old API server answers only its name, and then there is no uid. */
  readonly node?: { readonly name: string; readonly uid: string | undefined } | undefined;
  /** The credential's own name, such as `jti:…` or `serial:…`. */
  readonly credential: string;
}

/** What came of a credential, or of all credentials of a call. */
export type AuthenticationOutcome = Granted | NotGranted;

export interface Granted {
  readonly kind: 'granted';
  readonly caller: Caller;
}

/** `refused`: what was presented proves nothing. `unavailable`: whoever must judge it cannot be asked; come again. */
export interface NotGranted {
  readonly kind: 'refused' | 'unavailable';
  /** The authenticator that said so. */
  readonly by: string;
  /** Stable and short: for trailing metadata, so that a caller's operator can look it up. */
  readonly code: ErrorCode;
  /** For the operator of the CA: wanted and received, both times. It holds no token. */
  readonly reason: string;
  /** Set only where the identity was proven and is refused all the same. */
  readonly identity: SpiffeId | undefined;
}

/** Judges service account tokens. */
export interface TokenAuthenticator {
  readonly name: string;
  /** The one issuer whose tokens it judges; undefined where it can only find out by judging. */
  readonly issuer: string | undefined;
  /** Asked only when the authority for the token cannot be reached: a JWKS for the tokens of a TokenReview. */
  readonly standsIn: boolean;
  /** `compact` is the text that `jwt` was read from; whatever is judged must be these exact bytes. */
  authenticate(compact: string, jwt: Jwt): Promise<AuthenticationOutcome>;
}

/** Judges the certificate of a connection. */
export interface CertificateAuthenticator {
  readonly name: string;
  /** Whose certificate this is, whatever its use here; undefined where it proves no identity at all. */
  identify(chain: readonly Buffer[]): SpiffeId | undefined;
  authenticate(chain: readonly Buffer[]): Promise<AuthenticationOutcome>;
}
