import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { Caller } from './authenticator.ts';
import { createEarlyQuestions } from './early-questions.ts';
import type { PodsOnNodes } from './pods-on-nodes.ts';

export interface Impersonation {
  /** Who asks, proven. */
  readonly caller: Caller;
  /** For whom: what the caller wrote, of any length. */
  readonly asked: string;
  /** `ClusterID`, where the caller says which cluster it is in. */
  readonly clusterId: string | undefined;
}

/**
 * The identity that a caller may ask a certificate for besides its own.
 *
 * @throws SealwrightError `impersonation_not_allowed`; `impersonation_not_yet` and `pods_not_read`, after which the
 *   caller may come again
 */
export type NodeAuthorizer = (impersonation: Impersonation) => SpiffeId;

export interface NodeAuthorizerOptions {
  readonly trustDomain: TrustDomain;
  /** The name of the one cluster whose pods are known here. */
  readonly clusterId: string;
  /** Service accounts of node agents as `namespace/name`; without any, nobody acts for others. */
  readonly trustedNodeAccounts: readonly string[];
  /** Absent where there is no cluster. */
  readonly pods: PodsOnNodes | undefined;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/**
 * Decides for whom a node agent may act: Istio's rules (security/pkg/server/ca/node_auth.go), and four of ours. The
 * identity must be of this trust domain; the agent's credential must be bound to its pod; pods that have ended or are
 * being deleted are no reason to hand out a certificate; and the node that the credential names must be the one that
 * the pod is on.
 */
export function createNodeAuthorizer(options: NodeAuthorizerOptions): NodeAuthorizer {
  const { trustDomain, clusterId, pods, clock } = options;
  const trusted = new Set(options.trustedNodeAccounts);
  const early = createEarlyQuestions(clock);

  return ({ caller, asked, clusterId: claimed }) => {
    const agent = caller.identity.toString();
    const refuse = (reason: string): never => {
      throw new SealwrightError('impersonation_not_allowed', { caller: agent, asked: asked.slice(0, 300), reason });
    };

    const account = caller.identity.workload;
    if (trusted.size === 0) return refuse('no trusted node account is configured (ca.auth.trustedNodeAccounts)');
    if (account === undefined || !trusted.has(`${account.namespace}/${account.serviceAccount}`)) {
      return refuse('the caller is not allowed to impersonate: ca.auth.trustedNodeAccounts does not list it');
    }
    if (pods === undefined || (claimed !== undefined && claimed !== clusterId)) {
      return refuse(`no node authorizer for cluster ${(claimed ?? clusterId).slice(0, 100)}`);
    }
    const { identity, workload } = workloadAsked(asked, trustDomain, refuse);
    const { pod, node } = caller;
    if (pod === undefined) return refuse('the credential of the agent is not bound to a pod');
    if (!pods.synced) throw new SealwrightError('pods_not_read', { caller: agent });

    const name = identity.toString();
    const refuseInTime = (reason: string): never => {
      if (!early.mayBeEarly(pod.uid, name)) return refuse(reason);
      throw new SealwrightError('impersonation_not_yet', { caller: agent, asked: asked.slice(0, 300), reason });
    };
    const own = pods.pod(account.namespace, pod.name);
    const ownName = `${account.namespace}/${pod.name}`;
    if (own === undefined) return refuseInTime(`pod ${ownName} not found`);
    if (own.uid !== pod.uid) return refuseInTime('pod found, but UID does not match');
    if (own.serviceAccount !== account.serviceAccount) return refuse('pod found, but ServiceAccount does not match');
    if (own.ended) return refuse(`pod ${ownName} has ended`);
    if (own.node === '') return refuseInTime(`pod ${ownName} is on no node`);
    if (node !== undefined && node.name !== own.node) {
      return refuse(`the credential is of node ${node.name}, the pod is on ${own.node}`);
    }
    if (!pods.hasRunningPod({ ...workload, node: own.node })) {
      return refuseInTime(`no instances of ${name} found on node ${own.node}`);
    }
    early.found(pod.uid, name);
    return identity;
  };
}

function workloadAsked(
  asked: string,
  trustDomain: TrustDomain,
  refuse: (reason: string) => never,
): { readonly identity: SpiffeId; readonly workload: NonNullable<SpiffeId['workload']> } {
  let identity: SpiffeId;
  try {
    const parsed = SpiffeId.parse(asked);
    if (parsed.trustDomain !== trustDomain) return refuse(`it is of another trust domain than ${trustDomain}`);
    if (parsed.workload === undefined) return refuse('failed to validate impersonated identity: no service account');
    // Once more by the names that Kubernetes allows, which are fewer than those of a SPIFFE path.
    identity = SpiffeId.ofWorkload(trustDomain, parsed.workload);
  } catch (error) {
    if (!(error instanceof SealwrightError) || error.code === 'impersonation_not_allowed') throw error;
    return refuse(`failed to validate impersonated identity: ${error.message.slice(0, 200)}`);
  }
  const { workload } = identity;
  return workload === undefined ? refuse('failed to validate impersonated identity') : { identity, workload };
}
