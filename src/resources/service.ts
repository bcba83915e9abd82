import { anything, checkShape, fields, integer, listOf, mapOf, optional, text, truth } from '../config/field-schema.ts';
import { addressesIn, type ApiRecord, recordAt, recordsAt } from './api-value.ts';
import { NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { isError } from './workload-entry.ts';

/** Fields of a Kubernetes Service that matter to a cluster alone. */
const CLUSTER_FIELDS = `allocateLoadBalancerNodePorts externalIPs externalTrafficPolicy healthCheckNodePort
  internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP loadBalancerSourceRanges
  sessionAffinity sessionAffinityConfig trafficDistribution`.split(/\s+/);

const SERVICE = fields({
  selector: optional(mapOf(text({ max: 63 }), { max: 256 })),
  ports: optional(
    listOf(
      fields({
        name: optional(text({ max: 63 })),
        port: integer({ min: 1, max: 65_535 }),
        protocol: optional(text({ max: 16 })),
        appProtocol: optional(text({ max: 256 })),
        targetPort: optional(anything()),
        nodePort: optional(anything()),
      }),
      { max: 256 },
    ),
  ),
  clusterIP: optional(text({ max: 64 })),
  clusterIPs: optional(listOf(text({ max: 64 }), { max: 8 })),
  type: optional(text({ max: 64 })),
  externalName: optional(text({ max: 253 })),
  publishNotReadyAddresses: optional(truth()),
  ...Object.fromEntries(CLUSTER_FIELDS.map((name) => [name, optional(anything())])),
});

export interface ServicePort {
  /** Empty where the service has one port alone. */
  readonly name: string;
  readonly port: number;
  readonly transport: 'TCP' | 'UDP' | 'SCTP';
  /** What `appProtocol` says, else the port's name up to its first dash; lower case. Empty: told from the first bytes. */
  readonly protocol: string;
  /** A number, or the name of a port of the workload. */
  readonly targetPort: number | string;
}

/** A Kubernetes Service. */
export interface Service {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
  /** Of one or both families, the primary one first; empty where there is none (headless). */
  readonly clusterIPs: readonly string[];
  /** The name that it is another name for (`type: ExternalName`); empty where it is a service of its own. */
  readonly externalName: string;
  /** Whether its workloads are to be called before they are ready. */
  readonly publishNotReady: boolean;
}

/** More ports than any Service has. */
const MOST_PORTS = 256;

/** What is kept of a Service that an API server sent. */
export function reduceService(body: ApiRecord): Readonly<Record<string, unknown>> {
  const spec = recordAt(body['spec']);
  const kept = ['selector', 'clusterIP', 'clusterIPs', 'type', 'externalName', 'publishNotReadyAddresses'];
  const ports = recordsAt(spec['ports'], MOST_PORTS).map((port) => {
    return pick(port, ['name', 'port', 'protocol', 'appProtocol', 'targetPort']);
  });
  return { ...pick(spec, kept), ...(ports.length === 0 ? {} : { ports }) };
}

function pick(record: ApiRecord, names: readonly string[]): Record<string, unknown> {
  const entries = names.map((name): [string, unknown] => [
    name,
    Object.hasOwn(record, name) ? record[name] : undefined,
  ]);
  // `null` is what an absent field is written as by some.
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== null));
}

/** Istio reads the protocol from the name of a port: `http`, `http-web`, `grpc-web-api`. */
const NAMED_PROTOCOL = /^(grpc-web|http2|https|http|grpc|tls|tcp|udp|mongo|redis|mysql)(?:-|$)/;

export function parseService(resource: Pick<Resource, 'spec'>): ParsedSpec<Service> {
  const { value, issues } = checkShape(SERVICE, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  const { selector = {}, ports = [], clusterIP = '', clusterIPs = [], type, externalName = '' } = value;
  const read = ports.map(
    ({ name = '', port, protocol: transport, appProtocol, targetPort = port }, index): ServicePort => {
      const path = `spec.ports[${index}]`;
      if (ports.length > 1 && name === '') {
        findings.error(`${path}.name`, 'port_name_invalid', 'one port of several has no name', 'name each of them');
      } else if (name !== '') findings.portName(`${path}.name`, name);
      if (name !== '' && ports.slice(0, index).some((other) => other.name === name)) {
        findings.error(`${path}.name`, 'port_duplicate', 'a second port of this name', 'give each port its own name');
      }
      if (typeof targetPort === 'number') findings.port(`${path}.targetPort`, targetPort);
      else if (typeof targetPort !== 'string' || targetPort === '') {
        findings.error(`${path}.targetPort`, 'port_invalid', 'not a port', 'write its number, or its name');
      }
      const protocol = (appProtocol ?? NAMED_PROTOCOL.exec(name)?.[1] ?? '').toLowerCase();
      const target = typeof targetPort === 'number' || typeof targetPort === 'string' ? targetPort : port;
      return Object.freeze({ name, port, transport: transportOf(transport), protocol, targetPort: target });
    },
  );
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  const alias = type === 'ExternalName';
  return {
    value: Object.freeze({
      selector: alias ? {} : selector,
      ports: Object.freeze(read),
      // `None` is no address.
      clusterIPs: alias ? [] : addressesIn([clusterIP, ...clusterIPs]),
      externalName: alias ? externalName.toLowerCase().replace(/\.$/, '') : '',
      publishNotReady: value.publishNotReadyAddresses === true,
    }),
    issues: findings.issues,
  };
}

/** Istio's folders may say `udp` by the name of a port alone. */
function transportOf(written: string | undefined): ServicePort['transport'] {
  return written === 'UDP' || written === 'SCTP' ? written : 'TCP';
}
