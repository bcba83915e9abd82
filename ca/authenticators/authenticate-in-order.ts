import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { parseJwt, type Jwt } from '../../src/token/jwt.ts';
import { member } from '../../src/token/strict-json.ts';
import type {
  AuthenticationOutcome,
  CertificateAuthenticator,
  Granted,
  NotGranted,
  TokenAuthenticator,
} from './authenticator.ts';
import type { Credentials } from './credentials.ts';
import { outcomeOf } from './outcome.ts';

export interface AuthenticationOptions {
  /** In the order in which they are asked, where several are for the same token. */
  readonly tokens: readonly TokenAuthenticator[];
  readonly certificate?: CertificateAuthenticator | undefined;
  readonly logger: Logger;
}

/** Finds out who is calling. Throws nothing but bugs. */
export type Authentication = (credentials: Credentials) => Promise<AuthenticationOutcome>;

/**
 * Puts the authenticators together by these rules:
 *
 * 1. Nothing presented: refused. A certificate that TLS did not authorize is not presented (`peerChain`).
 * 2. A certificate alone: the certificate decides.
 * 3. A token is judged by the authorities that name its issuer, or, where none does, by those that take any issuer.
 *    The first that grants or refuses it decides. A stand-in is asked only when an authority before it could not be
 *    reached; so a TokenReview's refusal is final, and a key set that has not heard of a deletion cannot undo it.
 * 4. A token that is granted decides, whatever the certificate: it is the fresher proof, and the way out for a
 *    workload whose certificate has expired, was revoked by its key, or is too old to renew itself. But if the
 *    certificate is a valid one of another identity, the call is refused: one of the two was taken from somebody.
 * 5. A token that is refused decides too, and no certificate makes up for it. Except: a token whose time is over and
 *    that nothing else is held against speaks neither for nor against the caller, so the certificate decides. The
 *    kubelet cannot renew a token while the API server is down, and this is when renewal by certificate must work.
 * 6. A token that nobody can judge now: a certificate that is granted decides; else the caller should come again,
 *    since the token may still be good.
 *
 * Istio tries the client certificate first and takes the first success. Here the order is the other way round: a
 * renewal by certificate inherits its date of proof, and a token at hand must count.
 */
export function authenticateInOrder({ tokens, certificate, logger }: AuthenticationOptions): Authentication {
  const judgeToken = createTokenJudge(tokens, logger);
  return async ({ bearer, peerChain }) => {
    const byToken = bearer === undefined ? undefined : await judgeToken(bearer);
    if (byToken?.kind === 'granted') return agreeing(byToken, peerChain, certificate);
    if (byToken?.kind === 'refused' && byToken.code !== 'token_expired') return byToken;

    const byCertificate = peerChain === undefined ? undefined : await certificate?.authenticate(peerChain);
    if (byCertificate?.kind === 'granted') return byCertificate;
    if (byToken?.kind === 'unavailable') return byToken;
    return byCertificate ?? byToken ?? outcomeOf(new SealwrightError('credentials_missing'), 'authentication');
  };
}

/** Rule 3. */
function createTokenJudge(
  tokens: readonly TokenAuthenticator[],
  logger: Logger,
): (bearer: string) => Promise<AuthenticationOutcome> {
  // Said once when it begins and once when it ends: during an outage every call would say it.
  let stoodInFor: string | undefined;
  const say = (judge: TokenAuthenticator, unavailable: NotGranted | undefined): void => {
    if (judge.standsIn && unavailable !== undefined && stoodInFor === undefined) {
      stoodInFor = unavailable.by;
      logger.warn('tokens are judged by a stand-in', {
        by: judge.name,
        insteadOf: stoodInFor,
        reason: unavailable.reason,
      });
    } else if (judge.name === stoodInFor) {
      stoodInFor = undefined;
      logger.info('tokens are judged by their authority again', { by: judge.name });
    }
  };
  return async (bearer) => {
    let jwt: Jwt;
    try {
      jwt = parseJwt(bearer);
    } catch (error) {
      return outcomeOf(error, 'authentication');
    }
    let unavailable: NotGranted | undefined;
    for (const authenticator of concerned(jwt, tokens)) {
      if (authenticator.standsIn && unavailable === undefined) continue;
      const outcome = await authenticator.authenticate(bearer, jwt);
      // A queue that strangers can fill must not choose the judge who knows less.
      if (outcome.kind !== 'granted' && outcome.code === 'token_reviews_busy') return outcome;
      if (outcome.kind === 'unavailable') {
        unavailable ??= outcome;
        continue;
      }
      // Its keys may be old for the same reason for which the authority cannot be reached: no judgement.
      if (authenticator.standsIn && outcome.kind === 'refused' && outcome.code === 'token_key_unknown') continue;
      say(authenticator, unavailable);
      return outcome;
    }
    return unavailable ?? outcomeOf(unknownIssuer(jwt, tokens), 'authentication');
  };
}

/**
 * Who may judge the token. Its issuer is unverified here: it only chooses who judges, and each of them verifies all
 * of it.
 */
function concerned(jwt: Jwt, tokens: readonly TokenAuthenticator[]): readonly TokenAuthenticator[] {
  const issuer = member(jwt.claims, 'iss');
  const named = tokens.filter((authenticator) => authenticator.issuer === issuer);
  const authorities = named.filter((authenticator) => !authenticator.standsIn);
  const others = tokens.filter((authenticator) => authenticator.issuer === undefined);
  // Stand-ins come last, wherever they were listed: they are asked only after an authority could not be.
  const standIns = named.filter((authenticator) => authenticator.standsIn);
  return [...(authorities.length > 0 ? authorities : others), ...standIns];
}

function unknownIssuer(jwt: Jwt, tokens: readonly TokenAuthenticator[]): SealwrightError {
  const issuer = member(jwt.claims, 'iss');
  const got = typeof issuer === 'string' ? issuer.slice(0, 300) : undefined;
  const wanted = tokens.map((authenticator) => authenticator.issuer ?? 'any').join(' ');
  return new SealwrightError('token_issuer', { got, wanted: wanted || 'none: no token is accepted here' });
}

/** Rule 4. */
function agreeing(
  granted: Granted,
  peerChain: readonly Buffer[] | undefined,
  certificate: CertificateAuthenticator | undefined,
): AuthenticationOutcome {
  const other = peerChain === undefined ? undefined : certificate?.identify(peerChain);
  if (other === undefined || other.equals(granted.caller.identity)) return granted;
  const fields = { token: granted.caller.identity.toString(), certificate: other.toString() };
  return outcomeOf(new SealwrightError('credentials_disagree', fields), 'authentication');
}
