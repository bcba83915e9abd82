import { endpointSliceOf, type SliceEndpoint } from '../../src/resources/endpoint-slice.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { MeshWorkload } from './workload.ts';

/** An endpoint that no selector finds, and the Service that it is behind. */
export interface SlicedWorkload {
  readonly workload: MeshWorkload;
  readonly service: { readonly namespace: string; readonly name: string };
}

export interface KnownWorkloads {
  readonly clusterId: string;
  readonly pods: readonly MeshWorkload[];
  /** Those of WorkloadEntries. */
  readonly entered: readonly MeshWorkload[];
}

/** Something outside of the cluster, or on one of its machines: it has no identity, and nobody in front of it. */
export function isStranger({ kind, serviceAccount, sidecar }: MeshWorkload): boolean {
  return kind === 'EndpointSlice' && serviceAccount === '' && !sidecar;
}

/**
 * The workloads of EndpointSlices that people and other controllers write. An address that is a pod's is that pod,
 * whoever names it: calls there want its identity, where it has a sidecar, under its own namespace's policies. So it is
 * with a WorkloadEntry of the same namespace; those of others are their word against ours.
 */
export function slicedWorkloads(
  slices: readonly Resource[],
  { clusterId, pods, entered }: KnownWorkloads,
): SlicedWorkload[] {
  if (slices.every(({ spec }) => spec['service'] === undefined)) return [];
  const byAddress = new Map<string, MeshWorkload>();
  for (const workload of entered) {
    for (const address of workload.addresses) byAddress.set(`${workload.namespace}/${address}`, workload);
  }
  for (const pod of pods) if (!pod.hostNetwork) for (const address of pod.addresses) byAddress.set(address, pod);
  return slices.flatMap((slice) => {
    const { service, endpoints, ports } = endpointSliceOf(slice);
    if (service === '') return [];
    const { namespace, name } = slice;
    return endpoints.map((endpoint): SlicedWorkload => {
      const place = endpoint.address === '' ? endpoint.hostname : endpoint.address;
      const uid = `${clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${place}`;
      const known = byAddress.get(endpoint.address) ?? byAddress.get(`${namespace}/${endpoint.address}`);
      const told = { kind: 'EndpointSlice', uid, ports } as const;
      const workload: MeshWorkload =
        known === undefined
          ? { ...strangerAt(endpoint), ...told, namespace, name, owner: { kind: 'Pod', name: service } }
          : { ...known, ...told, healthy: known.healthy && endpoint.ready };
      return { workload: Object.freeze(workload), service: { namespace, name: service } };
    });
  });
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
