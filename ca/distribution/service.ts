import type { Resource } from '../../src/resources/resource.ts';
import { parseServiceEntry } from '../../src/resources/service-entry.ts';
import { parseService, type Service } from '../../src/resources/service.ts';
import { protocolOf, protocolOfName, type PortProtocol } from './protocol.ts';
import type { MeshWorkload } from './workload.ts';

export interface MeshServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  /** A number, or the name of a port that the workload must have. */
  readonly target: number | string;
}

/** One name with ports behind which workloads stand. */
export interface MeshService {
  /** `<namespace>/<hostname>`: the name under which it is subscribed to. */
  readonly key: string;
  /** Other names of it, in the same form; `*` as namespace is for those who do not know which. */
  readonly aliases: readonly string[];
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly ports: readonly MeshServicePort[];
  readonly subjectAltNames: readonly string[];
  /** Who may know of it; `*` everybody. */
  readonly exportTo: readonly string[];
  /** Labels that its workloads have; undefined where they are those of its own list. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** Whether calls go where their caller says, and no workload is chosen for them. */
  readonly passthrough: boolean;
  /** Whether it is outside of the mesh (`MESH_EXTERNAL`). */
  readonly external: boolean;
  /** Whether it is a Kubernetes Service. */
  readonly canonical: boolean;
  /** Whether its workloads are called also while they are not ready. */
  readonly publishNotReady: boolean;
}

/** The services of one ServiceEntry (one a host) or Service. */
export function servicesOf(resource: Resource, clusterDomain: string): MeshService[] {
  if (resource.kind === 'Service') return kubernetesService(resource, clusterDomain);
  return resource.kind === 'ServiceEntry' ? serviceEntryServices(resource) : [];
}

function serviceEntryServices(resource: Resource): MeshService[] {
  const entry = parseServiceEntry(resource).value;
  if (entry === undefined) return [];
  const { namespace, name } = resource;
  const ports = entry.ports
    .filter(({ protocol }) => protocol !== 'UDP')
    .map(({ number, name: portName, protocol, targetPort }): MeshServicePort => {
      const spoken = protocol === '' ? protocolOfName(portName) : protocolOf(protocol);
      return { number, name: portName, protocol: spoken, target: targetPort };
    });
  const passthrough = entry.resolution === 'NONE' || entry.resolution === 'DYNAMIC_DNS';
  return entry.hosts.map((hostname) => {
    return Object.freeze({
      key: `${namespace}/${hostname}`,
      aliases: [`*/${hostname}`],
      namespace,
      name,
      hostname,
      addresses: entry.addresses,
      ports,
      subjectAltNames: entry.subjectAltNames,
      exportTo: entry.exportTo.map((to) => (to === '.' ? namespace : to)),
      selector: passthrough ? NOBODY : entry.workloadSelector,
      passthrough,
      external: entry.location === 'MESH_EXTERNAL',
      canonical: false,
      publishNotReady: false,
    });
  });
}

/** What services are told as, whatever the domain of the cluster: rules and metrics name them so everywhere. */
const DOMAIN = 'cluster.local';

/**
 * Another name for something outside of the cluster is no service: what it is for, its own DNS name says. Another name for
 * a service of the cluster is known, and has no port to be called at: what counts is the name that it stands for, by
 * which a call is protected.
 */
function isElsewhere({ externalName }: Service, clusterDomain: string): boolean {
  return externalName !== '' && ![DOMAIN, clusterDomain].some((domain) => externalName.endsWith(`.svc.${domain}`));
}

/** A selector that no workload has, since a label has a name. */
const NOBODY = Object.freeze({ '': '' });

/** The names by which a cluster's DNS finds a Service (Kubernetes DNS specification 2.3 and its search paths). */
function kubernetesService(resource: Resource, clusterDomain: string): MeshService[] {
  const service = parseService(resource).value;
  if (service === undefined || isElsewhere(service, clusterDomain)) return [];
  const { namespace, name } = resource;
  const hostname = `${name}.${namespace}.svc.${DOMAIN}`;
  const domains = clusterDomain === DOMAIN ? [] : [`${name}.${namespace}.svc.${clusterDomain}`];
  const shorter = [...domains, `${name}.${namespace}.svc`, `${name}.${namespace}`];
  const called = service.externalName === '' ? service.ports : [];
  const ports = called
    .filter(({ transport, protocol }) => transport === 'TCP' && protocol !== 'udp')
    .map(({ port, name: portName, protocol, targetPort }): MeshServicePort => {
      return { number: port, name: portName, protocol: protocolOf(protocol), target: targetPort };
    });
  const selective = Object.keys(service.selector).length > 0;
  return [
    Object.freeze({
      key: `${namespace}/${hostname}`,
      aliases: [...shorter, name]
        .map((short) => `${namespace}/${short}`)
        .concat(shorter.concat(hostname).map((any) => `*/${any}`)),
      namespace,
      name,
      hostname,
      addresses: service.clusterIPs,
      ports,
      subjectAltNames: [],
      exportTo: ['*'],
      selector: selective ? service.selector : NOBODY,
      passthrough: false,
      external: false,
      canonical: true,
      publishNotReady: service.publishNotReady,
    }),
  ];
}

/**
 * The port of a workload behind a port of a service: the workload's own port of that name, else the service's target
 * (Istio, kube/controller findServiceTargetPort). Nothing where the target is a name that the workload does not have.
 * The names that a pod gives its ports count only where the service targets one, and those in an EndpointSlice are the
 * service's own, as Kubernetes has it.
 */
export function targetPortOf({ kind, ports }: MeshWorkload, port: MeshServicePort): number | undefined {
  const own = (name: string): number | undefined => (Object.hasOwn(ports, name) ? ports[name] : undefined);
  if (kind === 'EndpointSlice') return own(port.name);
  if (typeof port.target === 'string') return own(port.target);
  return kind === 'Pod' ? port.target : (own(port.name) ?? port.target);
}
