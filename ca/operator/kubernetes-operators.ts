import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { AccessAnswer, AccessQuestion, ReviewedUser } from '../../src/kubernetes/subject-access-review.ts';
import type { TokenReviewAnswer } from '../../src/kubernetes/token-review-status.ts';
import { parseJwt } from '../../src/token/jwt.ts';
import { findAlgorithm } from '../../src/token/signature-algorithm.ts';
import { checkAudiences, checkTimes, DEFAULT_LEEWAY } from '../../src/token/token-claims.ts';
import { outcomeOf } from '../authenticators/outcome.ts';
import type { Operation } from './operation.ts';
import type { ProvenOperator } from './operator-access.ts';
import type { OperatorJudge } from './operator-authentication.ts';

/** Whom a token for the operator API must be for. One for workloads, or for the API server itself, opens nothing here. */
export const OPERATOR_AUDIENCE = 'sealwright-operator';

/** The group that roles name. No API server serves it; it stands for what the operator API does. */
const GROUP = 'operator.sealwright.io';

/** The ledger keeps 256 characters of an actor; one that is cut could be another's. */
const LONGEST_USERNAME = 200;

export interface KubernetesOperatorsOptions {
  readonly reviewToken: (token: string, audiences: readonly string[]) => Promise<TokenReviewAnswer>;
  readonly reviewAccess: (user: ReviewedUser, question: AccessQuestion) => Promise<AccessAnswer>;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  /** Tokens under review at once; beyond them a caller is to come again. 32 if not given. */
  readonly mostReviews?: number;
  /** Of these, from one address; a quarter if not given. */
  readonly mostReviewsOfOne?: number;
}

/**
 * Operators by their Kubernetes token: TokenReview says who it is, and for each operation a SubjectAccessReview whether
 * a role lets them. Nothing of either is kept: who loses the role, loses it with the next call.
 */
export function createKubernetesOperators(options: KubernetesOperatorsOptions): OperatorJudge<string> {
  const { reviewToken, clock, mostReviews = 32 } = options;
  const by = 'token-review';
  const mostReviewsOfOne = options.mostReviewsOfOne ?? Math.max(1, Math.floor(mostReviews / 4));
  let reviews = 0;
  const reviewsOf = new Map<string, number>();
  // A token that nobody signed looks as good as any until it was reviewed: one address shall not keep all reviews busy.
  const review = async (token: string, from: string): Promise<TokenReviewAnswer> => {
    const ofOne = reviewsOf.get(from) ?? 0;
    if (reviews >= mostReviews || ofOne >= mostReviewsOfOne) {
      throw new SealwrightError('token_reviews_busy', { waiting: reviews, fromThisAddress: ofOne });
    }
    reviews += 1;
    reviewsOf.set(from, ofOne + 1);
    try {
      return await reviewToken(token, [OPERATOR_AUDIENCE]);
    } finally {
      reviews -= 1;
      const left = (reviewsOf.get(from) ?? 1) - 1;
      if (left > 0) reviewsOf.set(from, left);
      else reviewsOf.delete(from);
    }
  };
  return {
    judge: async (token, from) => {
      try {
        // What the token says against itself need not be asked; what it says for itself counts for nothing.
        const jwt = parseJwt(token);
        const { alg } = jwt.header;
        if (findAlgorithm(alg) === undefined) throw new SealwrightError('token_algorithm', { got: alg.slice(0, 32) });
        checkAudiences(jwt.claims, [OPERATOR_AUDIENCE]);
        checkTimes(jwt.claims, { clock, leeway: DEFAULT_LEEWAY });
        const user = readUser(await review(token, from));
        return { kind: 'proven', operator: operatorOf(user, options) };
      } catch (error) {
        return outcomeOf(error, by);
      }
    },
  };
}

function readUser(answer: TokenReviewAnswer): ReviewedUser {
  if (!answer.authenticated) throw new SealwrightError('token_refused', { answered: answer.error || undefined });
  if (!answer.audiences.includes(OPERATOR_AUDIENCE)) {
    const got = answer.audiences.join(' ').slice(0, 300);
    throw new SealwrightError('token_audience', { got, wanted: OPERATOR_AUDIENCE, by: 'the API server' });
  }
  const { username, uid, groups, extra } = answer;
  if (username === '' || username.length > LONGEST_USERNAME) {
    throw new SealwrightError('token_claims', { claim: 'username', reason: 'is empty, or too long for the ledger' });
  }
  return { username, uid, groups, extra };
}

function operatorOf(
  user: ReviewedUser,
  { reviewAccess, logger }: Pick<KubernetesOperatorsOptions, 'reviewAccess' | 'logger'>,
): ProvenOperator {
  const name = `kubernetes:${user.username}`;
  return {
    name,
    refusalOf: async (operation) => {
      let answer: AccessAnswer;
      try {
        answer = await reviewAccess(user, questionOf(operation));
      } catch (error) {
        if (!(error instanceof SealwrightError)) throw error;
        const { code, message: reason } = error;
        logger.warn('an operation could not be authorized', {
          operator: name,
          operation: operation.name,
          code,
          reason,
        });
        throw new SealwrightError('authentication_unavailable', { by: 'subject-access-review' });
      }
      if (answer.allowed) return undefined;
      const { verb, resource, group } = questionOf(operation);
      return `no role allows ${verb} of ${resource}.${group} named ${operation.name}${answer.reason === '' ? '' : `: ${answer.reason}`}`;
    },
  };
}

/**
 * One resource for the whole API, whose names are the operations: `get` is for those that only look, `create` for those
 * that do something. So a role for looking is two words, one for everything is three, and a role can be for one
 * operation alone by `resourceNames`.
 */
function questionOf({ name, role }: Operation): AccessQuestion {
  return { group: GROUP, resource: 'operations', name, verb: role === 'viewer' ? 'get' : 'create' };
}
