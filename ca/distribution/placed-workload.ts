import type { MtlsMode, PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { mtlsModes } from '../../src/policy/effective-mtls-mode.ts';
import { protocolOfName, type PortProtocol } from './protocol.ts';
import { isStranger } from './slice-workloads.ts';
import { targetPortOf, type MeshService, type MeshServicePort } from './service.ts';
import type { MeshWorkload } from './workload.ts';

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

interface Policies {
  readonly policies: readonly PeerAuthentication[];
  readonly rootNamespace: string;
}

/** Says of a workload what services and PeerAuthentications say; those of the latter that do not select it change nothing. */
export function placeWorkload(
  workload: MeshWorkload,
  services: readonly MeshService[],
  policies: Policies,
): PlacedWorkload {
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
  const effective = mtlsModes({ ...policies, workload });
  const modeOf = (port: number): PortMode => (outside ? 'DISABLE' : effective(port).mode);
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

/** Whether two states of the same workload say the same. */
export function isSamePlacement(a: PlacedWorkload, b: PlacedWorkload): boolean {
  if (a.workload !== b.workload || a.mode !== b.mode) return false;
  const samePorts = areAlike(a.ports, b.ports, (one, other) => {
    if (one.number !== other.number || one.name !== other.name || one.mode !== other.mode) return false;
    return one.protocol === other.protocol && one.exposed === other.exposed;
  });
  if (!samePorts) return false;
  return areAlike(a.memberships, b.memberships, (one, other) => {
    if (one.service !== other.service) return false;
    return areAlike(one.ports, other.ports, (x, y) => x.service === y.service && x.target === y.target);
  });
}

function areAlike<T>(a: readonly T[], b: readonly T[], isSame: (one: T, other: T) => boolean): boolean {
  return a.length === b.length && a.every((one, index) => isSame(one, b[index] ?? one));
}
