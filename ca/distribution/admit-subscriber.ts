import { SealwrightError } from '../../src/core/errors.ts';
import { podOf } from '../../src/resources/pod.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { parseWorkloadEntry } from '../../src/resources/workload-entry.ts';
import { workloadLabels } from '../../src/resources/workload-labels.ts';
import type { AdmittedWorkload, ProvenSubscriber, SubscriberName } from './subscriber.ts';

export interface Admission {
  readonly snapshot: ResourceSnapshot;
  readonly proven: ProvenSubscriber;
  /** Whether the store has the pods of a cluster. Without, the pods that tokens name are names and no more. */
  readonly discoversPods: boolean;
  /** As what the same stream was admitted before. */
  readonly before?: AdmittedWorkload | undefined;
}

/**
 * Lets an identity subscribe for a workload that is its own: the store has the workload, and its service account is the
 * identity's. A credential of one pod is good for that pod alone. The rights of a subscriber come from here alone.
 *
 * @throws SealwrightError `subscriber_refused`; `subscriber_early` where the store may only be behind
 */
export function admit(name: SubscriberName, admission: Admission): AdmittedWorkload {
  const { proven, discoversPods, before } = admission;
  const kind = before?.kind ?? name.kind;
  const refused = (reason: string): SealwrightError =>
    new SealwrightError('subscriber_refused', {
      workload: `${name.namespace}/${name.name}`,
      caller: proven.identity.toString(),
      reason,
    });
  if (!discoversPods) {
    if (kind === 'Pod') throw refused('no pods are known here');
    return admitEntry(name, admission, refused);
  }
  const { snapshot } = admission;
  const entry = snapshot.get({ ...name, kind: 'WorkloadEntry' });
  const { pod } = proven;
  if (pod === undefined) {
    if (kind === 'Pod' || (kind === undefined && isPodOf(name, admission))) return admitPod(name, admission, refused);
    const nothing = entry === undefined && snapshot.get({ ...name, kind: 'Pod' }) === undefined;
    if (kind === undefined && nothing) throw early(name, 'there is nothing of this name yet');
    return admitEntry(name, admission, refused);
  }
  if (pod.name !== name.name || proven.identity.workload?.namespace !== name.namespace) {
    throw refused(`its token is bound to the pod ${pod.name}`);
  }
  const known = snapshot.get({ ...name, kind: 'Pod' });
  // Tokens of the embedded issuer are bound to pods that are names of WorkloadEntries, and no pods.
  if (known === undefined && (kind === 'WorkloadEntry' || (kind === undefined && entry !== undefined))) {
    return admitEntry(name, admission, refused);
  }
  if (kind === 'WorkloadEntry') throw refused('its token is bound to the pod of that name');
  return admitPod(name, admission, refused);
}

type Refused = (reason: string) => SealwrightError;

function isPodOf({ namespace, name }: SubscriberName, { snapshot, proven }: Admission): boolean {
  const resource = snapshot.get({ kind: 'Pod', namespace, name });
  const own = proven.identity.workload;
  return (
    resource !== undefined && own?.namespace === namespace && podOf(resource).serviceAccount === own.serviceAccount
  );
}

function admitPod({ namespace, name }: SubscriberName, admission: Admission, refused: Refused): AdmittedWorkload {
  const { snapshot, proven, before } = admission;
  const resource = snapshot.get({ kind: 'Pod', namespace, name });
  const pod = resource === undefined ? undefined : podOf(resource);
  if (before !== undefined && pod?.uid !== before.uid) {
    throw refused(pod === undefined ? 'its pod is gone' : 'another pod has taken its name');
  }
  if (resource === undefined || pod === undefined) throw early({ namespace, name }, 'it has not been heard of');
  // The store may be behind, or the pod may be gone whose token it is: what is sure is that it is not this one.
  if (pod.uid === '' || (proven.pod !== undefined && proven.pod.uid !== pod.uid)) {
    throw early({ namespace, name }, 'the one that is known has another uid');
  }
  const own = proven.identity.workload;
  if (own === undefined || own.namespace !== namespace || own.serviceAccount !== pod.serviceAccount) {
    throw refused(`its pod has service account ${namespace}/${pod.serviceAccount}`);
  }
  if (pod.over) throw refused('its pod has ended');
  if (pod.addresses.length === 0) throw early({ namespace, name }, 'it has no address yet');
  return Object.freeze({ kind: 'Pod', namespace, name, uid: pod.uid, labels: resource.labels });
}

function admitEntry({ namespace, name }: SubscriberName, admission: Admission, refused: Refused): AdmittedWorkload {
  const resource = admission.snapshot.get({ kind: 'WorkloadEntry', namespace, name });
  const entry = resource === undefined ? undefined : parseWorkloadEntry(resource).value;
  if (resource === undefined || entry === undefined) throw refused('there is no WorkloadEntry of this name');
  const own = admission.proven.identity.workload;
  if (own === undefined || own.namespace !== namespace || own.serviceAccount !== entry.serviceAccount) {
    const { serviceAccount } = entry;
    const wanted = serviceAccount === '' ? 'no service account' : `service account ${namespace}/${serviceAccount}`;
    throw refused(`its WorkloadEntry has ${wanted}`);
  }
  const labels = workloadLabels(resource, entry);
  return Object.freeze({ kind: 'WorkloadEntry', namespace, name, uid: resource.uid, labels });
}

function early({ namespace, name }: SubscriberName, reason: string): SealwrightError {
  return new SealwrightError('subscriber_early', { pod: `${namespace}/${name}`, reason });
}
