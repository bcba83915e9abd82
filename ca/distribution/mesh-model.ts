import type { MtlsMode, PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { effectiveMtlsMode } from '../../src/policy/effective-mtls-mode.ts';
import { readPeerAuthentication } from '../../src/resources/policy-resource.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { resourceKey, type Resource } from '../../src/resources/resource.ts';
import { selects } from '../../src/policy/workload-selector.ts';
import { podWorkload } from './pod-workload.ts';
import { protocolOfName, type PortProtocol } from './protocol.ts';
import { isStranger, slicedWorkloads } from './slice-workloads.ts';
import { servicesOf, targetPortOf, type MeshService, type MeshServicePort } from './service.ts';
import { endpointWorkloads, workloadOf, type MeshWorkload } from './workload.ts';

export type PortMode = Exclude<MtlsMode, 'UNSET'>;

/** One port that a workload is known to listen on. */
export interface ListeningPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  readonly mode: PortMode;
  /** False where only a PeerAuthentication names it, and nothing says that the workload listens there. */
  readonly exposed: boolean;
}

/** A service that a workload is behind, with the workload's port behind each port of the service. */
export interface Membership {
  readonly service: MeshService;
  readonly ports: readonly { readonly service: MeshServicePort; readonly target: number }[];
}

/** A workload with everything that other resources say of it. */
export interface PlacedWorkload {
  readonly workload: MeshWorkload;
  readonly memberships: readonly Membership[];
  readonly ports: readonly ListeningPort[];
  /** The mode at every port that is not named. */
  readonly mode: PortMode;
}

/** The mesh as the resources of one moment describe it. */
export interface MeshModel {
  readonly workloads: readonly PlacedWorkload[];
  readonly services: readonly MeshService[];
}

export interface ModelOptions {
  readonly clusterId: string;
  readonly rootNamespace: string;
}

/** Puts workloads, services and PeerAuthentications together. */
export function modelOf(snapshot: ResourceSnapshot, options: ModelOptions): MeshModel {
  const entries = snapshot.list('ServiceEntry');
  const owned = [...entries, ...snapshot.list('Service')].map((resource) => ({
    resource,
    services: servicesOf(resource),
  }));
  const selective = Map.groupBy(
    owned.flatMap(({ services }) => services).filter(({ selector }) => selector !== undefined),
    ({ namespace }) => namespace,
  );
  const policies = snapshot
    .list('PeerAuthentication')
    .flatMap((resource) => readPeerAuthentication(resource).policy ?? []);
  const byNamespace = Map.groupBy(policies, ({ namespace }) => namespace);
  const wide = byNamespace.get(options.rootNamespace) ?? [];
  const place = (workload: MeshWorkload, services: readonly MeshService[]): PlacedWorkload => {
    const own = workload.namespace === options.rootNamespace ? [] : (byNamespace.get(workload.namespace) ?? []);
    return placed(workload, services, { policies: [...wide, ...own], rootNamespace: options.rootNamespace });
  };
  const { clusterId } = options;
  const nodes = (name: string): Resource | undefined => snapshot.get({ kind: 'Node', namespace: '', name });
  const pods = snapshot.list('Pod').flatMap((resource) => podWorkload(resource, { clusterId, nodes }) ?? []);
  const entered = snapshot.list('WorkloadEntry').flatMap((resource) => workloadOf(resource, clusterId) ?? []);
  const selected = [...entered, ...pods].map((workload) =>
    place(workload, behind(workload, selective.get(workload.namespace) ?? [])),
  );
  const listed = owned.flatMap(({ resource, services }) => {
    if (resource.kind !== 'ServiceEntry') return [];
    return endpointWorkloads(resource, options.clusterId).map((workload) =>
      place(workload, ofHost(workload, services)),
    );
  });
  const named = new Map(owned.map(({ resource, services }) => [resourceKey(resource), services]));
  const slices = snapshot.list('EndpointSlice');
  const sliced = slicedWorkloads(slices, { clusterId, pods, entered }).map(({ workload, service }) =>
    place(workload, named.get(resourceKey({ kind: 'Service', ...service })) ?? []),
  );
  return {
    workloads: Object.freeze([...selected, ...listed, ...sliced]),
    services: Object.freeze(owned.flatMap(({ services }) => services)),
  };
}

function behind(workload: MeshWorkload, services: readonly MeshService[]): readonly MeshService[] {
  return services.filter(({ selector }) => {
    return selector !== undefined && selects(new Map(Object.entries(selector)), workload.labels);
  });
}

/** A workload that stands for one host of a ServiceEntry is behind that host alone. */
function ofHost({ hostname }: MeshWorkload, services: readonly MeshService[]): readonly MeshService[] {
  const named = services.filter((service) => service.hostname === hostname);
  return named.length > 0 ? named : services;
}

interface Policies {
  readonly policies: readonly PeerAuthentication[];
  readonly rootNamespace: string;
}

function placed(workload: MeshWorkload, services: readonly MeshService[], policies: Policies): PlacedWorkload {
  const memberships = services.map((service): Membership => {
    const ports = service.ports.flatMap((port) => {
      const target = targetPortOf(workload, port);
      return target === undefined ? [] : [{ service: port, target }];
    });
    return { service, ports };
  });
  // What stands outside of the mesh and has no sidecar is bound by no policy of it (Istio, ServiceEntry `MESH_EXTERNAL`).
  const outside =
    isStranger(workload) || (!workload.sidecar && services.length > 0 && services.every(({ external }) => external));
  const modeOf = (port: number): PortMode =>
    outside ? 'DISABLE' : effectiveMtlsMode({ ...policies, workload, port }).mode;
  // No listener has port 0, and none can be named in a policy: what remains is the level above ports.
  const mode = modeOf(0);
  const known = new Map<number, Omit<ListeningPort, 'mode' | 'number'>>();
  // What containers call their ports says nothing of what is spoken there, in Kubernetes.
  const protocolOfOwn = (name: string): PortProtocol => protocolOfName(workload.kind === 'Pod' ? '' : name);
  for (const [name, number] of Object.entries(workload.ports))
    known.set(number, { name, protocol: protocolOfOwn(name), exposed: true });
  // A service says more about what is spoken than the workload's own name for the port.
  for (const { ports } of memberships) {
    for (const { service, target } of ports) {
      const name = known.get(target)?.name ?? service.name;
      if (service.protocol.app !== 0 || !known.has(target))
        known.set(target, { name, protocol: service.protocol, exposed: true });
    }
  }
  // A port that only a policy names matters to callers as well, where its mode is another. A sidecar that listened there
  // would open a port of the application that is for its own machine alone.
  for (const policy of policies.policies) {
    for (const port of policy.ports.keys()) {
      if (known.has(port) || modeOf(port) === mode) continue;
      known.set(port, { name: '', protocol: protocolOfName(''), exposed: false });
    }
  }
  const ports = [...known]
    .sort(([a], [b]) => a - b)
    .map(([number, rest]) => ({ number, ...rest, mode: modeOf(number) }));
  return Object.freeze({ workload, memberships: Object.freeze(memberships), ports: Object.freeze(ports), mode });
}
