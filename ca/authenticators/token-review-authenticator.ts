import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { TokenReviewAnswer } from '../../src/kubernetes/token-review-status.ts';
import { isObjectName, parseServiceAccountSubject } from '../../src/token/service-account-subject.ts';
import { readServiceAccount } from '../../src/token/service-account-token.ts';
import { findAlgorithm } from '../../src/token/signature-algorithm.ts';
import { checkAudiences, checkTimes, DEFAULT_LEEWAY, refuseClaim } from '../../src/token/token-claims.ts';
import type { Caller, TokenAuthenticator } from './authenticator.ts';
import { outcomeOf } from './outcome.ts';
import { nameOfToken } from './token-name.ts';

export interface TokenReviewAuthenticatorOptions {
  readonly trustDomain: TrustDomain;
  readonly reviewer: { review(token: string, audiences: readonly string[]): Promise<TokenReviewAnswer> };
  /** The token must be for one of them, and the API server must say so. */
  readonly audiences: readonly string[];
  /** The API server's issuer, where it is known; then tokens of other issuers are not sent to it. */
  readonly issuer?: string;
  /** Milliseconds; one minute if not given. */
  readonly leeway?: number;
  /** Reviews under way or waiting at once; beyond them a caller is to come again. 256 if not given. */
  readonly mostReviews?: number;
  readonly clock: Pick<Clock, 'now'>;
}

/** The group of all service accounts: a person's token can be valid too, and must get no workload's certificate. */
const SERVICE_ACCOUNTS = 'system:serviceaccounts';

const EXTRA = 'authentication.kubernetes.io/';

/**
 * Judges service account tokens by asking the API server, which alone knows whether pod and account still exist.
 * Bound to our audiences always: there is no way to ask without, and an answer that names none of them is refused.
 */
export function createTokenReviewAuthenticator(options: TokenReviewAuthenticatorOptions): TokenAuthenticator {
  const { trustDomain, reviewer, audiences, issuer, clock, leeway = DEFAULT_LEEWAY, mostReviews = 256 } = options;
  const name = 'token-review';
  let reviews = 0;
  const review = async (token: string): Promise<TokenReviewAnswer> => {
    if (reviews >= mostReviews) throw new SealwrightError('token_reviews_busy', { waiting: reviews });
    reviews += 1;
    try {
      return await reviewer.review(token, audiences);
    } finally {
      reviews -= 1;
    }
  };
  return {
    name,
    issuer,
    standsIn: false,
    authenticate: async (compact, jwt) => {
      try {
        // What the token itself says against itself. The API server would refuse it too, but in words that tell
        // neither the times nor which audience was wanted; and it need not be troubled. The time comes last, so that
        // `token_expired` means that nothing else was wrong.
        const { alg } = jwt.header;
        if (findAlgorithm(alg) === undefined) throw new SealwrightError('token_algorithm', { got: alg.slice(0, 32) });
        checkAudiences(jwt.claims, audiences);
        const account = readServiceAccount(jwt.claims);
        checkTimes(jwt.claims, { clock, leeway });

        const answer = await review(compact);
        const facts = readReview(answer, audiences);
        if (facts.namespace !== account.namespace || facts.serviceAccount !== account.serviceAccount) {
          return refuseClaim('sub', 'is not the user name that the API server answered');
        }
        const caller: Caller = {
          identity: SpiffeId.ofWorkload(trustDomain, facts),
          method: 'token-review',
          tokenAuthenticatedAt: clock.now(),
          pod: facts.pod,
          node: facts.node,
          serviceAccountUid: facts.serviceAccountUid,
          // The API server has verified these very bytes, so the id in them is the issuer's.
          credential: nameOfToken(account),
        };
        return { kind: 'granted', caller };
      } catch (error) {
        return outcomeOf(error, name);
      }
    },
  };
}

interface ReviewedAccount extends Pick<Caller, 'pod' | 'node' | 'serviceAccountUid'> {
  readonly namespace: string;
  readonly serviceAccount: string;
}

function readReview(answer: TokenReviewAnswer, wanted: readonly string[]): ReviewedAccount {
  if (!answer.authenticated) throw new SealwrightError('token_refused', { answered: answer.error || undefined });
  // Kubernetes, TokenReviewStatus.audiences: empty means that the server did not look at audiences at all, so the
  // token may be meant for anybody. Nothing is asked again without audiences.
  if (!answer.audiences.some((audience) => wanted.includes(audience))) {
    const got = answer.audiences.join(' ').slice(0, 300);
    throw new SealwrightError('token_audience', { got, wanted: wanted.join(' '), by: 'the API server' });
  }
  if (!answer.groups.includes(SERVICE_ACCOUNTS)) return refuseClaim('groups', `do not hold ${SERVICE_ACCOUNTS}`);
  const account = parseServiceAccountSubject(answer.username);
  if (account === undefined) {
    return refuseClaim('username', 'is not system:serviceaccount:<namespace>:<service account>');
  }
  const [podName, podUid] = [extraOf(answer, 'pod-name'), extraOf(answer, 'pod-uid')];
  const [nodeName, nodeUid] = [extraOf(answer, 'node-name'), extraOf(answer, 'node-uid')];
  if ((podName === undefined) !== (podUid === undefined)) return refuseClaim('pod', 'has a name or a uid only');
  return {
    ...account,
    // Of a service account the user's uid is that of the account.
    serviceAccountUid: answer.uid === '' ? undefined : answer.uid,
    pod: podName === undefined || podUid === undefined ? undefined : { name: podName, uid: podUid },
    node: nodeName === undefined ? undefined : { name: nodeName, uid: nodeUid },
  };
}

/** An extra has a list of values; of these there is one, or the answer means something that we do not know. */
function extraOf({ extra }: TokenReviewAnswer & { authenticated: true }, name: string): string | undefined {
  const values = extra.get(`${EXTRA}${name}`);
  if (values === undefined || values.length === 0) return undefined;
  const [value] = values;
  const readable = name.endsWith('-name') ? isObjectName : (text: string) => /^[!-~]{1,253}$/.test(text);
  if (values.length > 1 || value === undefined || !readable(value)) {
    return refuseClaim(`${EXTRA}${name}`, 'is not one readable value');
  }
  return value;
}
