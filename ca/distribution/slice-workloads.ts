import { endpointSliceOf, type SliceEndpoint } from '../../src/resources/endpoint-slice.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { MeshWorkload } from './workload.ts';

export interface SliceSurroundings {
  readonly clusterId: string;
  /** Whose an address is. */
  readonly workloadAt: (address: string) => MeshWorkload | undefined;
}

/** Something outside of the cluster, or on one of its machines: it has no identity, and nobody in front of it. */
export function isStranger({ kind, serviceAccount, sidecar }: MeshWorkload): boolean {
  return kind === 'EndpointSlice' && serviceAccount === '' && !sidecar;
}

/**
 * The workloads of an EndpointSlice that somebody else than Kubernetes' own controller wrote. An address that is a pod's is
 * that pod, whoever names it: calls there want its identity, where it has a sidecar, under its own namespace's policies.
 */
export function sliceWorkloads(slice: Resource, { clusterId, workloadAt }: SliceSurroundings): MeshWorkload[] {
  const { service, endpoints, ports } = endpointSliceOf(slice);
  if (service === '') return [];
  const { namespace, name } = slice;
  // One that is listed twice is there once.
  const places = new Map(endpoints.map((endpoint) => [placeOf(endpoint), endpoint]));
  return [...places].map(([place, endpoint]) => {
    const uid = `${clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${place}`;
    const told = { kind: 'EndpointSlice', uid, ports } as const;
    const known = endpoint.address === '' ? undefined : workloadAt(endpoint.address);
    return Object.freeze(
      known === undefined
        ? { ...strangerAt(endpoint), ...told, namespace, name, owner: { kind: 'Pod' as const, name: service } }
        : { ...known, ...told, healthy: known.healthy && endpoint.ready },
    );
  });
}

function placeOf({ address, hostname }: SliceEndpoint): string {
  return address === '' ? hostname : address;
}

function strangerAt({
  address,
  hostname,
  ready,
  zone,
}: SliceEndpoint): Omit<MeshWorkload, 'kind' | 'uid' | 'namespace' | 'name' | 'ports' | 'owner'> {
  return {
    addresses: address === '' ? [] : [address],
    hostname,
    network: '',
    locality: zone === '' ? '' : `/${zone}`,
    weight: 0,
    labels: Object.freeze({}),
    serviceAccount: '',
    sidecar: false,
    healthy: ready,
    hostNetwork: false,
    node: '',
  };
}
