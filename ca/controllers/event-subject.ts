import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { EventSubject } from './cluster-event.ts';

/** Whom a failure concerns: the pod where it is known, else the service account; nobody of this cluster otherwise. */
export function subjectOfCaller({
  identity,
  pod,
}: {
  readonly identity: SpiffeId;
  readonly pod?: { readonly name: string; readonly uid?: string | undefined } | undefined;
}): EventSubject | undefined {
  const { workload } = identity;
  if (workload === undefined) return undefined;
  const { namespace, serviceAccount } = workload;
  if (pod !== undefined) return { apiVersion: 'v1', kind: 'Pod', namespace, name: pod.name, uid: pod.uid };
  return { apiVersion: 'v1', kind: 'ServiceAccount', namespace, name: serviceAccount };
}
