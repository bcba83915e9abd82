import { SealwrightError } from '../../src/core/errors.ts';
import { isNamespaceName, isResourceName } from '../../src/resources/kubernetes-name.ts';
import { WORKLOAD_KIND } from '../../src/wire/control-types.ts';
import type { Caller } from '../authenticators/authenticator.ts';

/** Who a subscriber says it is. A claim until `admit` has looked. */
export interface SubscriberName {
  readonly namespace: string;
  readonly name: string;
  /** Which of a Pod and a WorkloadEntry of that name; undefined where it does not say. */
  readonly kind?: WorkloadKind | undefined;
}

export type WorkloadKind = 'Pod' | 'WorkloadEntry';

/** Who it has been found to be. */
export type ProvenSubscriber = Pick<Caller, 'identity' | 'pod'>;

/** A workload whose sidecar may subscribe. */
export interface AdmittedWorkload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  /** Of the Pod: another one that takes its name is not it. */
  readonly uid: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Reads `<type>~<ip>~<workload>.<namespace>~<namespace>.svc.cluster.local`, Istio's node id, or `NAME` and `NAMESPACE`
 * of the node's metadata. Where both are there they must agree. Which kind of workload it is, `WORKLOAD_KIND` says.
 *
 * @throws SealwrightError `subscriber_unknown`
 */
export function readSubscriberName(node: {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}): SubscriberName {
  const byId = nameInId(node.id);
  const { NAME: name, NAMESPACE: namespace, [WORKLOAD_KIND]: written } = node.metadata;
  const claimed = typeof name === 'string' && typeof namespace === 'string' ? { name, namespace } : undefined;
  const id = node.id.slice(0, 300);
  const disagree = claimed !== undefined && (byId?.name !== claimed.name || byId.namespace !== claimed.namespace);
  if (byId !== undefined && disagree) {
    throw new SealwrightError('subscriber_unknown', { node: id, reason: 'its metadata names another workload' });
  }
  if (written !== undefined && written !== 'Pod' && written !== 'WorkloadEntry') {
    throw new SealwrightError('subscriber_unknown', { node: id, reason: 'its metadata names an unknown kind' });
  }
  const named = byId ?? claimed;
  if (named === undefined || !isResourceName(named.name) || !isNamespaceName(named.namespace)) {
    throw new SealwrightError('subscriber_unknown', { node: id });
  }
  return written === undefined ? named : { ...named, kind: written };
}

function nameInId(id: string): { readonly namespace: string; readonly name: string } | undefined {
  const [type, , workload = '', domain = '', ...more] = id.split('~');
  if (type === undefined || type === '' || more.length > 0) return undefined;
  // A workload's name may hold dots, a namespace's cannot.
  const dot = workload.lastIndexOf('.');
  const named = { name: workload.slice(0, Math.max(0, dot)), namespace: workload.slice(dot + 1) };
  const fits = domain === named.namespace || domain.startsWith(`${named.namespace}.`);
  return fits && isResourceName(named.name) && isNamespaceName(named.namespace) ? named : undefined;
}
