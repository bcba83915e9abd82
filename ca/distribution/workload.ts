import { isIP } from 'node:net';
import type { PodOwner } from '../../src/resources/pod-owner.ts';
import { parseServiceEntry } from '../../src/resources/service-entry.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { parseWorkloadEntry, type WorkloadEntry } from '../../src/resources/workload-entry.ts';
import { workloadLabels } from '../../src/resources/workload-labels.ts';

/** One workload of the mesh as the store describes it. */
export interface MeshWorkload {
  /** What tells of it. */
  readonly kind: 'Pod' | 'WorkloadEntry' | 'ServiceEntry' | 'EndpointSlice';
  /** Unique over the mesh, as Istio makes it: `<cluster>/<group>/<kind>/<namespace>/<name>`. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Numeric. Empty where only a name is known. */
  readonly addresses: readonly string[];
  /** A DNS name of it alone; to be resolved where there is no address. */
  readonly hostname: string;
  readonly network: string;
  readonly locality: string;
  /** 0 stands for unset. */
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
  /** By the name of a service's port, or of its own. */
  readonly ports: Readonly<Record<string, number>>;
  /** Empty where no identity belongs to it. */
  readonly serviceAccount: string;
  /** Whether a sidecar terminates its connections. */
  readonly sidecar: boolean;
  /** Whether it is to be called. */
  readonly healthy: boolean;
  /** Whether its addresses are those of the machine that it runs on, which others have as well. */
  readonly hostNetwork: boolean;
  /** The machine that it runs on, where that has a name. */
  readonly node: string;
  /** What runs it: for metrics alone. */
  readonly owner: PodOwner;
}

/** Istio's label by which a workload says whether a sidecar is in front of it. */
export const TLS_MODE = 'security.istio.io/tlsMode';

/** The workload of a WorkloadEntry; nothing where it cannot be read, which no store lets through. */
export function workloadOf(resource: Resource, clusterId: string): MeshWorkload | undefined {
  const entry = parseWorkloadEntry(resource).value;
  if (entry === undefined) return undefined;
  const { namespace, name } = resource;
  const uid = workloadUid('WorkloadEntry', { clusterId, namespace, name });
  return describe(entry, { kind: 'WorkloadEntry', uid, namespace, name, labels: workloadLabels(resource, entry) });
}

export function workloadUid(
  kind: 'Pod' | 'WorkloadEntry',
  { clusterId, namespace, name }: { readonly clusterId: string; readonly namespace: string; readonly name: string },
): string {
  // The core group has no name.
  return `${clusterId}/${kind === 'Pod' ? '' : 'networking.istio.io'}/${kind}/${namespace}/${name}`;
}

/**
 * The workloads that a ServiceEntry itself lists; or, where it lists none and its hosts are resolved by DNS, one for
 * each host, whose address is that name (Istio does the same for ztunnel).
 */
export function endpointWorkloads(resource: Resource, clusterId: string): MeshWorkload[] {
  const entry = parseServiceEntry(resource).value;
  if (entry === undefined || entry.workloadSelector !== undefined) return [];
  const { namespace, name } = resource;
  const prefix = `${clusterId}/networking.istio.io/ServiceEntry/${namespace}/${name}`;
  const byName = entry.endpoints.length === 0 && entry.resolution.startsWith('DNS');
  const endpoints = byName ? entry.hosts.map((host) => ({ ...NO_ENTRY, address: host })) : entry.endpoints;
  return endpoints.map((endpoint, index) => {
    const place = endpoint.address === '' ? String(index) : endpoint.address;
    const twin = endpoints.findIndex((other) => other.address === endpoint.address) !== index;
    const uid = `${prefix}/${place}${twin ? `/${index}` : ''}`;
    return describe(endpoint, { kind: 'ServiceEntry', uid, namespace, name, labels: endpoint.labels });
  });
}

const NO_ENTRY: WorkloadEntry = {
  address: '',
  ports: {},
  labels: {},
  network: '',
  locality: '',
  weight: 0,
  serviceAccount: '',
};

function describe(
  entry: WorkloadEntry,
  named: Pick<MeshWorkload, 'kind' | 'uid' | 'namespace' | 'name' | 'labels'>,
): MeshWorkload {
  const { address, network, locality, weight, ports, serviceAccount } = entry;
  const numeric = isIP(address) !== 0;
  return Object.freeze({
    ...named,
    addresses: numeric ? [address] : [],
    // A Unix socket has no place in the protocol: the workload is known, and cannot be reached from elsewhere.
    hostname: numeric || address.startsWith('unix://') ? '' : address,
    network,
    locality,
    weight,
    ports,
    serviceAccount,
    sidecar: hasSidecar(named.labels, serviceAccount),
    healthy: true,
    hostNetwork: false,
    node: '',
    owner: { kind: 'Pod' as const, name: named.name },
  });
}

/**
 * As Istio has it (serviceentry/conversion.go, getTLSModeFromWorkloadEntry): the label decides, and where it is absent
 * the service account does. A value that means nothing counts as "yes": a call that fails is better than a call in plaintext.
 */
function hasSidecar(labels: Readonly<Record<string, string>>, serviceAccount: string): boolean {
  const mode = labels[TLS_MODE];
  return mode === undefined ? serviceAccount !== '' : mode !== 'disabled';
}
