import type { Clock } from '../../src/core/clock.ts';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { answerInTime } from '../../src/kubernetes/answer-in-time.ts';
import type { Caller } from './authenticator.ts';

/** What is known of whoever holds a certificate. */
export type Holder = Pick<Caller, 'identity' | 'pod' | 'serviceAccountUid'>;

export interface WorkloadPresence {
  /**
   * Resolves where pod and account are there, and also where that cannot be asked: losing the API server must stop
   * nothing that a certificate can do (invariant 9). Only what the API server said for certain refuses.
   *
   * @throws SealwrightError `renewal_gone`; `renewals_busy` where too many wait, since a queue that anybody can fill
   *   must not switch the question off
   */
  check(holder: Holder): Promise<void>;
}

/** What matters of an object of the API server. */
export interface LiveObject {
  readonly uid: string;
  /** Wall milliseconds; for a pod it includes the time that it is given to end. */
  readonly deletionTimestamp: number | undefined;
  /** Of a pod. */
  readonly phase?: string | undefined;
}

/** Asks the API server itself, and no copy of it: a certificate renews itself a few times a day. */
export interface LiveObjects {
  pod(namespace: string, name: string): Promise<LiveObject | undefined>;
  serviceAccount(namespace: string, name: string): Promise<LiveObject | undefined>;
}

export interface WorkloadPresenceOptions {
  readonly objects: LiveObjects;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly logger: Logger;
  /** Milliseconds for both questions of one renewal; 3 s if not given. */
  readonly patience?: number;
  /** Renewals that may wait at once; 256 if not given. */
  readonly mostWaiting?: number;
}

/**
 * As the API server judges tokens (pkg/serviceaccount/claims.go): what is being deleted counts for a minute beyond its
 * deletion timestamp.
 */
const DELETION_LEEWAY = 60_000;

/** Whether the holder of a certificate is still on the cluster, by the very pod and account that got it. */
export function createWorkloadPresence(options: WorkloadPresenceOptions): WorkloadPresence {
  const { objects, clock, logger, patience = 3_000, mostWaiting = 256 } = options;
  let waiting = 0;
  const isGone = (object: LiveObject | undefined, uid: string): string | undefined => {
    if (object === undefined) return 'does not exist';
    if (object.uid !== uid) return 'is another one of the same name';
    const { deletionTimestamp: deleted } = object;
    if (deleted !== undefined && deleted + DELETION_LEEWAY < clock.now()) return 'was deleted';
    return object.phase === 'Succeeded' || object.phase === 'Failed' ? `has ended (${object.phase})` : undefined;
  };
  const reasonWhyGone = async ({ identity, pod, serviceAccountUid }: Holder): Promise<string | undefined> => {
    const { workload } = identity;
    if (workload === undefined || serviceAccountUid === undefined) return undefined;
    const { namespace, serviceAccount } = workload;
    const [account, livePod] = await Promise.all([
      objects.serviceAccount(namespace, serviceAccount),
      pod === undefined ? undefined : objects.pod(namespace, pod.name),
    ]);
    const ofAccount = isGone(account, serviceAccountUid);
    if (ofAccount !== undefined) return `the service account ${ofAccount}`;
    const ofPod = pod === undefined ? undefined : isGone(livePod, pod.uid);
    return ofPod === undefined ? undefined : `the pod ${ofPod}`;
  };
  return {
    check: async (holder) => {
      // Of those whom no API server has vouched for there is nothing to be asked.
      if (holder.serviceAccountUid === undefined) return;
      if (waiting >= mostWaiting) throw new SealwrightError('renewals_busy', { waiting });
      waiting += 1;
      let reason: string | undefined;
      try {
        reason = await answerInTime(reasonWhyGone(holder), patience, clock);
      } catch (error) {
        logger.warn('a renewal goes on without asking whether its pod is still there', {
          identity: holder.identity.toString(),
          reason: reasonOf(error),
        });
        return;
      } finally {
        waiting -= 1;
      }
      if (reason === undefined) return;
      const { identity, pod } = holder;
      throw new SealwrightError('renewal_gone', { identity: identity.toString(), pod: pod?.name, reason });
    },
  };
}
