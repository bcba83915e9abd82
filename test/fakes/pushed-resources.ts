import { createHash } from 'node:crypto';
import { ROOT_SECRET } from '../../src/wire/control-types.ts';
import { encodeObject } from '../../src/wire/json-object.ts';
import {
  ADDRESS,
  ApplicationProtocol,
  FACTS,
  HealthPolicy,
  MCP_RESOURCE,
  MutualTls,
  SECRET,
} from '../../src/wire/message-type.ts';
import type { TypedBytes, XdsResource } from '../../src/wire/xds-message.ts';

export interface PushedWorkload {
  /** A WorkloadEntry unless it says otherwise. */
  readonly kind?: 'Pod' | 'WorkloadEntry';
  readonly name: string;
  readonly namespace?: string;
  readonly addresses?: readonly string[];
  /** A DNS name of it alone. */
  readonly hostname?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly trustDomain?: string;
  readonly sidecar?: boolean;
  readonly mode?: MutualTls;
  readonly ports?: readonly { port: number; name?: string; protocol?: ApplicationProtocol; mutualTls?: MutualTls }[];
  /** By service key: service port to target port. */
  readonly services?: Readonly<Record<string, Readonly<Record<number, number>>>>;
  readonly aliases?: readonly string[];
}

export const uidOf = (name: string, namespace = 'shop', kind: 'Pod' | 'WorkloadEntry' = 'WorkloadEntry'): string =>
  `Kubernetes/${kind === 'Pod' ? '' : 'networking.istio.io'}/${kind}/${namespace}/${name}`;

/** A workload as the control stream pushes it. */
export function pushedWorkload(of: PushedWorkload): XdsResource {
  const { name, namespace = 'shop', addresses = [], services = {}, ports = [] } = of;
  const uid = uidOf(name, namespace, of.kind);
  const facts = FACTS.encode({
    labels: { ...of.labels },
    sidecar: of.sidecar ?? true,
    mutualTls: of.mode ?? MutualTls.PERMISSIVE,
    ports: ports.map((port) => ({ ...port })),
  });
  const body = ADDRESS.encode({
    type: {
      case: 'workload',
      value: {
        uid,
        name,
        namespace,
        addresses: addresses.map(bytesOf),
        hostname: of.hostname ?? '',
        trustDomain: of.trustDomain ?? 'cluster.local',
        serviceAccount: of.serviceAccount ?? name,
        clusterId: 'Kubernetes',
        canonicalName: name,
        canonicalRevision: 'latest',
        workloadName: name,
        services: Object.fromEntries(
          Object.entries(services).map(([key, map]) => [
            key,
            {
              ports: Object.entries(map).map(([servicePort, targetPort]) => ({
                servicePort: Number(servicePort),
                targetPort,
              })),
            },
          ]),
        ),
        extensions: [{ name: 'sealwright', config: facts }],
      },
    },
  });
  const names = Object.keys(services).flatMap((key) => [key, `*/${key.slice(key.indexOf('/') + 1)}`]);
  return versioned(uid, body, [...addresses.map((address) => `/${address}`), ...names, ...(of.aliases ?? [])]);
}

/** A service as the control stream pushes it. */
export function pushedService(of: {
  readonly hostname: string;
  readonly namespace?: string;
  readonly port?: number;
  readonly addresses?: readonly string[];
  /** Whether it is a Kubernetes Service. */
  readonly canonical?: boolean;
  /** Whether its workloads are called also while they are not healthy. */
  readonly publishNotReady?: boolean;
}): XdsResource {
  const { hostname, namespace = 'shop', port = 80, addresses = [], canonical = false, publishNotReady = false } = of;
  const body = ADDRESS.encode({
    type: {
      case: 'service',
      value: {
        name: hostname.split('.')[0] ?? '',
        namespace,
        hostname,
        addresses: addresses.map((address) => ({ network: '', address: bytesOf(address) })),
        ports: [{ servicePort: port, targetPort: 0 }],
        canonical,
        ...(publishNotReady ? { loadBalancing: { healthPolicy: HealthPolicy.ALLOW_ALL } } : {}),
        extensions: [
          {
            name: 'sealwright',
            config: FACTS.encode({ ports: [{ port, name: 'http', protocol: ApplicationProtocol.HTTP1 }] }),
          },
        ],
      },
    },
  });
  return versioned(`${namespace}/${hostname}`, body, [`*/${hostname}`, ...addresses.map((address) => `/${address}`)]);
}

export interface PushedDocument {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Instead of a spec, as a ConfigMap has it. */
  readonly data?: Readonly<Record<string, string>>;
  /** Wall milliseconds. */
  readonly createdAt?: number;
  /** What stands outside, where that is another name than within. */
  readonly outside?: string;
}

/** A Kubernetes-style document as the control stream pushes it. */
export function pushedDocument(of: PushedDocument): XdsResource {
  const { kind, name, namespace = 'shop', spec, data, outside = `${namespace}/${name}`, createdAt = 0 } = of;
  const group = ['Sidecar', 'DestinationRule'].includes(kind) ? 'networking.istio.io/v1' : 'security.istio.io/v1';
  const document = {
    apiVersion: kind === 'ConfigMap' ? 'v1' : group,
    kind,
    metadata: { name, namespace, creationTimestamp: '2026-01-01T00:00:00Z' },
    ...(data === undefined ? { spec: spec ?? {} } : { data }),
  };
  const body = MCP_RESOURCE.encode({
    metadata: { name: outside, createTime: { seconds: BigInt(createdAt / 1_000), nanos: 0 } },
    body: encodeObject(document),
  });
  return versioned(outside, body, []);
}

/** The trust bundle as the control stream pushes it. */
export function pushedRoots(pem: string): XdsResource {
  const inlineBytes = Buffer.from(pem);
  const body = SECRET.encode({
    name: ROOT_SECRET,
    type: {
      case: 'validationContext',
      value: { trustedCa: { specifier: { case: 'inlineBytes', value: inlineBytes } } },
    },
  });
  return versioned(ROOT_SECRET, body, []);
}

function versioned(name: string, body: TypedBytes, aliases: readonly string[]): XdsResource {
  const hash = createHash('sha256').update(body.value).update(aliases.join('\n')).digest('hex');
  return { name, version: hash.slice(0, 16), aliases, body };
}

/** IPv4 in dots, or IPv6 written with all eight groups. */
function bytesOf(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number));
  return Uint8Array.from(
    address.split(':').flatMap((group) => {
      const number = Number.parseInt(group, 16);
      return [number >> 8, number & 0xff];
    }),
  );
}
