import type { Destination, Service, Workload } from './destination.ts';

export const OUTSIDE: Destination = Object.freeze({ kind: 'outside' });

/** What is known of one host. */
export interface Found {
  /** The best one first by the own namespace; several only where services of several namespaces have the name. */
  readonly found: readonly Destination[];
  readonly choices: WeakMap<readonly string[], Destination>;
}

/** The own namespace first, then those that were named in their order, then any. */
export function chosen(entry: Found, namespaces: readonly string[] | undefined, own: string): Destination {
  const [first = OUTSIDE] = entry.found;
  if (entry.found.length < 2 || namespaces === undefined || first.kind !== 'service') return first;
  const { namespace, canonical } = first.service;
  if (namespace === own || namespaces.includes('*') || (canonical && namespaces.includes(namespace))) return first;
  const known = entry.choices.get(namespaces);
  if (known !== undefined) return known;
  const in_ = (namespace: string): Destination | undefined =>
    entry.found.find((each) => each.kind === 'service' && each.service.namespace === namespace);
  const named = namespaces.map(in_).find((each) => each !== undefined);
  const choice = named ?? first;
  entry.choices.set(namespaces, choice);
  return choice;
}

const NOT_ITS_OWNERS = unknown('that namespace has no service of this name');
const AMBIGUOUS = unknown('several namespaces have a service of this name, and none is named');

/** The service of that namespace and no other's; of `*` the Kubernetes Service, else the only one. */
export function ownedBy({ found }: Found, owner: string): Destination {
  const [first = OUTSIDE] = found;
  if (owner === '*') {
    const canonical = found.find((each) => each.kind === 'service' && each.service.canonical);
    return canonical ?? (found.length > 1 ? AMBIGUOUS : first);
  }
  if (first.kind === 'unknown') return first;
  return found.find((each) => each.kind === 'service' && each.service.namespace === owner) ?? NOT_ITS_OWNERS;
}

/**
 * The own namespace first, then Kubernetes Services: any namespace may write their names and addresses into a ServiceEntry,
 * and would have all others call it instead (ztunnel's order too).
 */
export function nearestFirst(services: readonly Service[], namespace: string): readonly Service[] {
  const rank = (service: Service): number => (service.namespace === namespace ? 2 : Number(service.canonical));
  return services.toSorted((a, b) => rank(b) - rank(a));
}

/**
 * Of the services that claim an address those that may: where a workload has it, another namespace's entry would take its
 * calls over.
 */
export function notTaken(services: readonly Service[], there: readonly Workload[], own: string): readonly Service[] {
  if (there.length === 0) return services;
  return services.filter(
    ({ namespace, canonical }) =>
      canonical || namespace === own || there.some((workload) => workload.namespace === namespace),
  );
}

/**
 * Of the workloads that claim an address the pods, where there are any: their addresses are the cluster's word, those of
 * the others are what somebody of some namespace wrote. Of these the own namespace's, which no other's may take over.
 */
export function podsThenOwn(there: readonly Workload[], own: string): readonly Workload[] {
  const pods = there.filter(({ uid, clusterId, namespace, name }) => uid === `${clusterId}//Pod/${namespace}/${name}`);
  if (pods.length > 0) return pods;
  const ours = there.filter(({ namespace }) => namespace === own);
  return ours.length > 0 ? ours : there;
}

/** Of the workloads that go by a name those whose own it is, and no service's: `db-0.db.shop` or the whole of it. */
export function calledSo(workloads: readonly Workload[], host: string): readonly Workload[] {
  return workloads.filter(({ addresses, hostname }) => {
    return addresses.length > 0 && (hostname === host || hostname.startsWith(`${host}.`));
  });
}

/** A name of two parts (`db-0.db`) means a pod of the own namespace. */
export function meantBy(named: readonly Workload[], host: string, own: string): readonly Workload[] {
  return host.split('.').length > 2 ? named : named.filter(({ namespace }) => namespace === own);
}

export function unknown(reason: string): Destination {
  return Object.freeze({ kind: 'unknown', reason });
}
