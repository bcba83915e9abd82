import { isIPv6, SocketAddress } from 'node:net';
import { parseIpAddress } from '../../src/policy/ip-address.ts';
import type { PodOwner } from '../../src/resources/pod-owner.ts';
import { FACTS_EXTENSION } from '../../src/wire/control-types.ts';
import {
  ADDRESS,
  FACTS,
  HealthPolicy,
  LoadBalancingMode,
  MutualTls,
  NetworkMode,
  WorkloadStatus,
  WorkloadType,
} from '../../src/wire/message-type.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { PlacedWorkload, PortMode } from './placed-workload.ts';
import type { MeshService } from './service.ts';
import { versioned } from './versioned.ts';

const MODES: Readonly<Record<PortMode, MutualTls>> = {
  DISABLE: MutualTls.DISABLE,
  PERMISSIVE: MutualTls.PERMISSIVE,
  STRICT: MutualTls.STRICT,
};

const TYPES: Readonly<Record<PodOwner['kind'], WorkloadType>> = {
  Deployment: WorkloadType.DEPLOYMENT,
  Job: WorkloadType.JOB,
  CronJob: WorkloadType.CRONJOB,
  Pod: WorkloadType.POD,
};

/** A workload as `istio.workload.Address`, found by its uid, its addresses, and every name of the services it is behind. */
export function workloadResource(
  placed: PlacedWorkload,
  { clusterId, trustDomain }: { readonly clusterId: string; readonly trustDomain: string },
): XdsResource {
  const { workload, memberships, ports, mode } = placed;
  const { labels } = workload;
  const [region = '', zone = '', subzone = ''] = workload.locality.split('/');
  const facts = FACTS.encode({
    labels: sorted(labels),
    sidecar: workload.sidecar,
    mutualTls: MODES[mode],
    ports: ports.map((port) => ({
      port: port.number,
      name: port.name,
      protocol: port.protocol.facts,
      // Said only where it differs.
      mutualTls: port.mode === mode ? MutualTls.UNSPECIFIED : MODES[port.mode],
      modeOnly: !port.exposed,
    })),
  });
  const body = ADDRESS.encode({
    type: {
      case: 'workload',
      value: {
        uid: workload.uid,
        name: workload.name,
        namespace: workload.namespace,
        addresses: workload.addresses.flatMap((address) => bytesOf(address) ?? []),
        hostname: workload.hostname,
        network: workload.network,
        trustDomain,
        serviceAccount: workload.serviceAccount,
        canonicalName: canonicalName(labels) ?? workload.owner.name,
        canonicalRevision: canonicalRevision(labels) ?? 'latest',
        workloadType: TYPES[workload.owner.kind],
        workloadName: workload.owner.name,
        node: workload.node,
        status: workload.healthy ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
        networkMode: workload.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
        clusterId,
        services: sorted(
          Object.fromEntries(
            memberships.map(({ service, ports: behind }) => {
              const list = behind.map(({ service: port, target }) => {
                return { servicePort: port.number, targetPort: target, appProtocol: port.protocol.app };
              });
              return [service.key, { ports: list }];
            }),
          ),
        ),
        ...(workload.locality === '' ? {} : { locality: { region, zone, subzone } }),
        ...(workload.weight === 0 ? {} : { capacity: workload.weight }),
        extensions: [{ name: FACTS_EXTENSION, config: facts }],
      },
    },
  });
  return versioned({ name: workload.uid, aliases: workloadAliases(placed), body });
}

/** The names beside its uid under which a workload is found. */
export function workloadAliases({ workload, memberships }: PlacedWorkload): string[] {
  // Which of those who share a machine's address is meant by it, nobody can say; and an EndpointSlice may name anybody's.
  // They are found by their services alone.
  const found = workload.hostNetwork || workload.kind === 'EndpointSlice' ? [] : workload.addresses;
  const own = found.map((address) => addressAlias(workload.network, address));
  const names = memberships.flatMap(({ service }) => [service.key, ...service.aliases]);
  return [...new Set([...own, ...ownNames(workload), ...names])];
}

/** The names by which a cluster's DNS finds a pod alone; the shortest means one of the caller's own namespace. */
function ownNames({ kind, namespace, hostname }: PlacedWorkload['workload']): string[] {
  if (kind !== 'Pod' || hostname === '') return [];
  const host = hostname.split('.', 2).join('.');
  return [hostname, `${host}.${namespace}.svc`, `${host}.${namespace}`, host].map((name) => `*/${name}`);
}

/** A service as `istio.workload.Address`, found by `<namespace>/<hostname>`, its other names and its addresses. */
export function serviceResource(service: MeshService): XdsResource {
  const addresses = service.addresses.map(parseRange).filter((range) => range !== undefined);
  const facts = FACTS.encode({
    ports: service.ports.map(({ number, name, protocol }) => ({ port: number, name, protocol: protocol.facts })),
  });
  const body = ADDRESS.encode({
    type: {
      case: 'service',
      value: {
        name: service.name,
        namespace: service.namespace,
        hostname: service.hostname,
        addresses,
        ports: service.ports.map(({ number, target, protocol }) => ({
          servicePort: number,
          // 0 where each workload's own port of that name counts.
          targetPort: typeof target === 'number' ? target : 0,
          appProtocol: protocol.app,
        })),
        subjectAltNames: [...service.subjectAltNames],
        canonical: service.canonical,
        ...loadBalancingOf(service),
        extensions: [{ name: FACTS_EXTENSION, config: facts }],
      },
    },
  });
  return versioned({ name: service.key, aliases: serviceAliases(service), body });
}

/** The names beside its key under which a service is found. */
export function serviceAliases({ aliases, addresses }: MeshService): string[] {
  const own = addresses.filter((address) => !address.includes('/')).map((address) => addressAlias('', address));
  return [...aliases, ...own];
}

function loadBalancingOf({ passthrough, publishNotReady }: MeshService) {
  if (!passthrough && !publishNotReady) return {};
  return {
    loadBalancing: {
      ...(passthrough ? { mode: LoadBalancingMode.PASSTHROUGH } : {}),
      ...(publishNotReady ? { healthPolicy: HealthPolicy.ALLOW_ALL } : {}),
    },
  };
}

/** The name under which ztunnel asks for an address: IPv6 in its shortest form (RFC 5952). */
function addressAlias(network: string, address: string): string {
  const text = isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address;
  return `${network}/${text}`;
}

/** Istio's order (pkg/model/proxy.go, CanonicalServiceLabels). */
function canonicalName(labels: Readonly<Record<string, string>>): string | undefined {
  return labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'];
}

function canonicalRevision(labels: Readonly<Record<string, string>>): string | undefined {
  return labels['service.istio.io/canonical-revision'] ?? labels['app.kubernetes.io/version'] ?? labels['version'];
}

function parseRange(text: string): { network: string; address: Uint8Array; length?: number } | undefined {
  const [written = '', length] = text.split('/');
  const address = bytesOf(written);
  if (address === undefined) return undefined;
  return { network: '', address, ...(length === undefined ? {} : { length: Number(length) }) };
}

/** 4 or 16 bytes. */
function bytesOf(text: string): Uint8Array | undefined {
  const words = parseIpAddress(text)?.words;
  if (words === undefined) return undefined;
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => bytes.writeUInt32BE(word, index * 4));
  return bytes;
}

/** Messages write maps in the order of their keys' insertion, and equal content is to have equal bytes. */
function sorted<T>(map: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
