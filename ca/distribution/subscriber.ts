import { SealwrightError } from '../../src/core/errors.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { isNamespaceName, isResourceName } from '../../src/resources/kubernetes-name.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { parseWorkloadEntry } from '../../src/resources/workload-entry.ts';
import { workloadLabels } from '../../src/resources/workload-labels.ts';

/** Who a subscriber says it is. A claim until `admit` has looked. */
export interface SubscriberName {
  readonly namespace: string;
  readonly name: string;
}

/** A workload whose sidecar may subscribe. */
export interface AdmittedWorkload extends SubscriberName {
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Reads `<type>~<ip>~<workload>.<namespace>~<namespace>.svc.cluster.local`, Istio's node id, or `NAME` and `NAMESPACE`
 * of the node's metadata. Where both are there they must agree.
 *
 * @throws SealwrightError `subscriber_unknown`
 */
export function readSubscriberName(node: {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}): SubscriberName {
  const byId = nameInId(node.id);
  const { NAME: name, NAMESPACE: namespace } = node.metadata;
  const claimed = typeof name === 'string' && typeof namespace === 'string' ? { name, namespace } : undefined;
  const id = node.id.slice(0, 300);
  if (byId !== undefined && claimed !== undefined) {
    if (byId.name === claimed.name && byId.namespace === claimed.namespace) return byId;
    throw new SealwrightError('subscriber_unknown', { node: id, reason: 'its metadata names another workload' });
  }
  const named = byId ?? claimed;
  if (named === undefined || !isResourceName(named.name) || !isNamespaceName(named.namespace)) {
    throw new SealwrightError('subscriber_unknown', { node: id });
  }
  return named;
}

function nameInId(id: string): SubscriberName | undefined {
  const [type, , workload = '', domain = '', ...more] = id.split('~');
  if (type === undefined || type === '' || more.length > 0) return undefined;
  // A workload's name may hold dots, a namespace's cannot.
  const dot = workload.lastIndexOf('.');
  const named = { name: workload.slice(0, Math.max(0, dot)), namespace: workload.slice(dot + 1) };
  const fits = domain === named.namespace || domain.startsWith(`${named.namespace}.`);
  return fits && isResourceName(named.name) && isNamespaceName(named.namespace) ? named : undefined;
}

/**
 * Lets an identity subscribe for a workload that is its own: the store has the workload, and its service account is the
 * identity's. The rights of a subscriber come from here alone.
 *
 * @throws SealwrightError `subscriber_refused`
 */
export function admit(
  { namespace, name }: SubscriberName,
  { snapshot, identity }: { readonly snapshot: ResourceSnapshot; readonly identity: SpiffeId },
): AdmittedWorkload {
  const workload = `${namespace}/${name}`;
  const caller = identity.toString();
  const resource = snapshot.get({ kind: 'WorkloadEntry', namespace, name });
  const entry = resource === undefined ? undefined : parseWorkloadEntry(resource).value;
  if (resource === undefined || entry === undefined) {
    throw new SealwrightError('subscriber_refused', {
      workload,
      caller,
      reason: 'there is no WorkloadEntry of this name',
    });
  }
  const own = identity.workload;
  if (own === undefined || own.namespace !== namespace || own.serviceAccount !== entry.serviceAccount) {
    const wanted =
      entry.serviceAccount === '' ? 'no service account' : `service account ${namespace}/${entry.serviceAccount}`;
    throw new SealwrightError('subscriber_refused', { workload, caller, reason: `its WorkloadEntry has ${wanted}` });
  }
  return Object.freeze({ namespace, name, labels: workloadLabels(resource, entry) });
}
