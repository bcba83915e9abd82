import { SealwrightError } from '../core/errors.ts';
import type { ApiResource } from './api-resource.ts';
import type { KubernetesClient } from './api-client.ts';
import { isRecord } from './kubernetes-object.ts';

/** Who asks, as a TokenReview has answered. */
export interface ReviewedUser {
  readonly username: string;
  readonly uid: string | undefined;
  readonly groups: readonly string[];
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

/** What a role has to allow; the group need not be one that the API server serves. */
export interface AccessQuestion {
  readonly group: string;
  readonly resource: string;
  readonly name: string;
  readonly verb: string;
}

export interface AccessAnswer {
  readonly allowed: boolean;
  /** The API server's words, bounded; often empty. */
  readonly reason: string;
}

const SUBJECT_ACCESS_REVIEWS: ApiResource = {
  group: 'authorization.k8s.io',
  version: 'v1',
  kind: 'SubjectAccessReview',
  plural: 'subjectaccessreviews',
  namespaced: false,
};

const LONGEST_REASON = 300;

/**
 * Asks the API server whether its roles allow somebody something. Only the literal `allowed: true` allows, and nothing
 * that is denied besides.
 *
 * @throws SealwrightError what `KubernetesClient` throws; `kubernetes_unreachable` for an answer that is none
 */
export async function reviewAccess(
  client: Pick<KubernetesClient, 'create'>,
  { username, uid, groups, extra }: ReviewedUser,
  question: AccessQuestion,
): Promise<AccessAnswer> {
  const spec = {
    user: username,
    ...(uid === undefined ? {} : { uid }),
    groups,
    extra: Object.fromEntries(extra),
    resourceAttributes: { ...question },
  };
  const { status } = (await client.create(SUBJECT_ACCESS_REVIEWS, { spec })).body;
  if (!isRecord(status) || typeof status['allowed'] !== 'boolean') {
    throw new SealwrightError('kubernetes_unreachable', {
      reason: 'its answer is a SubjectAccessReview without status',
    });
  }
  const { allowed, denied, reason, evaluationError } = status;
  const words = [reason, evaluationError].filter((text) => typeof text === 'string' && text !== '').join('; ');
  return { allowed: allowed && denied !== true, reason: words.slice(0, LONGEST_REASON) };
}
