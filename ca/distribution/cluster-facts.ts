import type { Slices } from '../../src/policy/slices.ts';
import { endpointSliceOf } from '../../src/resources/endpoint-slice.ts';
import { nodeOf } from '../../src/resources/node.ts';
import { podOf } from '../../src/resources/pod.ts';
import { resourceKey, type Resource, type ResourceName } from '../../src/resources/resource.ts';
import { KeysBy } from './keys-by.ts';
import { podWorkload } from './pod-workload.ts';
import type { ChangedResource } from './snapshot-changes.ts';
import { workloadOf, type MeshWorkload } from './workload.ts';

/**
 * What resources of a cluster say of each other's workloads: a Node where its pods are, a pod whose an address in an
 * EndpointSlice is. Knows which resources have to be read again when one changes.
 */
export class ClusterFacts {
  readonly #clusterId: string;
  readonly #clusterDomain: string;
  readonly #nodes = new Map<string, Resource>();
  /** Pods, WorkloadEntries, and the slices that matter. */
  readonly #resources = new Map<string, Resource>();
  readonly #podsOn = new KeysBy();
  /** Whose an address is: of pods by itself, of WorkloadEntries with their namespace before it. */
  readonly #owners = new KeysBy();
  readonly #slicesNaming = new KeysBy();
  readonly #slicesOf = new KeysBy();

  constructor({ clusterId, clusterDomain }: { readonly clusterId: string; readonly clusterDomain: string }) {
    this.#clusterId = clusterId;
    this.#clusterDomain = clusterDomain;
  }

  /** Takes in what changed, and answers it with all else that is to be read again. */
  *take(changes: readonly ChangedResource[]): Slices<readonly ChangedResource[]> {
    const known = new Set(changes.map(resourceKey));
    const pods = new Set<string>();
    const addresses = new Set<string>();
    const slices = new Set<string>();
    for (const changed of changes) {
      const key = resourceKey(changed);
      if (changed.kind === 'Node') for (const pod of this.#takeNode(changed)) pods.add(pod);
      else if (changed.kind === 'Service') for (const slice of this.#slicesOf.at(key)) slices.add(slice);
      else for (const address of this.#replace(key, changed.after)) addresses.add(address);
      yield;
    }
    for (const pod of pods) for (const address of this.#addressesOf(this.#resources.get(pod))) addresses.add(address);
    for (const address of addresses) {
      const bare = address.slice(address.indexOf('/') + 1);
      for (const slice of this.#slicesNaming.at(bare)) slices.add(slice);
    }
    const again = [...pods, ...slices].flatMap((key): ChangedResource[] => {
      const resource = known.has(key) ? undefined : this.#resources.get(key);
      if (resource === undefined) return [];
      const { kind, namespace, name } = resource;
      return [{ kind, namespace, name, before: resource, after: resource }];
    });
    return again.length === 0 ? changes : [...changes, ...again];
  }

  /** The workload of a Pod. */
  podWorkload(resource: Resource): MeshWorkload | undefined {
    const [clusterId, clusterDomain] = [this.#clusterId, this.#clusterDomain];
    return podWorkload(resource, { clusterId, clusterDomain, nodes: (name) => this.#nodes.get(name) });
  }

  /** Whose an address is that somebody of a namespace writes down: a pod's, or a WorkloadEntry's of that namespace. */
  workloadAt(address: string, namespace: string): MeshWorkload | undefined {
    for (const key of [...sorted(this.#owners.at(address)), ...sorted(this.#owners.at(`${namespace}/${address}`))]) {
      const resource = this.#resources.get(key);
      if (resource === undefined) continue;
      const workload = resource.kind === 'Pod' ? this.podWorkload(resource) : workloadOf(resource, this.#clusterId);
      if (workload !== undefined) return workload;
    }
    return undefined;
  }

  /** Answers the pods that are elsewhere now. */
  #takeNode({ name, before, after }: ChangedResource): Iterable<string> {
    if (after === undefined) this.#nodes.delete(name);
    else this.#nodes.set(name, after);
    const [was, is] = [before, after].map((node) => (node === undefined ? '' : nodeOf(node).locality));
    return was === is ? [] : this.#podsOn.at(name);
  }

  /** Answers the addresses that may be another's now. */
  #replace(key: string, after: Resource | undefined): readonly string[] {
    const before = this.#resources.get(key);
    if (before !== undefined) this.#index(key, before, 'delete');
    this.#resources.delete(key);
    if (after !== undefined && this.#index(key, after, 'add')) this.#resources.set(key, after);
    return [...this.#addressesOf(before), ...this.#addressesOf(after)];
  }

  /** Answers whether it is anything to be kept. */
  #index(key: string, resource: Resource, what: 'add' | 'delete'): boolean {
    const { kind, namespace, spec } = resource;
    if (kind === 'EndpointSlice') {
      if (spec['service'] === undefined) return false;
      const { service, endpoints } = endpointSliceOf(resource);
      this.#slicesOf[what](resourceKey(serviceOf({ namespace, service })), key);
      const named = new Set(endpoints.map(({ address }) => address).filter((address) => address !== ''));
      for (const address of named) this.#slicesNaming[what](address, key);
      return true;
    }
    if (kind !== 'Pod' && kind !== 'WorkloadEntry') return false;
    for (const address of this.#addressesOf(resource)) this.#owners[what](address, key);
    if (kind === 'Pod') {
      const { node } = podOf(resource);
      if (node !== '') this.#podsOn[what](node, key);
    }
    return true;
  }

  #addressesOf(resource: Resource | undefined): readonly string[] {
    switch (resource?.kind) {
      case 'Pod': {
        const { addresses, hostNetwork, over } = podOf(resource);
        return hostNetwork || over ? [] : addresses;
      }
      case 'WorkloadEntry': {
        const { addresses } = workloadOf(resource, this.#clusterId) ?? { addresses: [] };
        return addresses.map((address) => `${resource.namespace}/${address}`);
      }
      case undefined:
      default:
        return [];
    }
  }
}

/** The Service that a slice is of. */
export function serviceOf({
  namespace,
  service,
}: {
  readonly namespace: string;
  readonly service: string;
}): ResourceName {
  return { kind: 'Service', namespace, name: service };
}

/** Of several the same one, in whichever order they came. */
function sorted(keys: Iterable<string>): string[] {
  return [...keys].sort();
}
