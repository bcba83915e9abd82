import { anything, checkShape, fields, integer, listOf, mapOf, optional, text } from '../config/field-schema.ts';
import { NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { isError } from './workload-entry.ts';

/** Fields of a Kubernetes Service that matter to a cluster alone. */
const CLUSTER_FIELDS = `allocateLoadBalancerNodePorts clusterIPs externalIPs externalName externalTrafficPolicy
  healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP
  loadBalancerSourceRanges publishNotReadyAddresses sessionAffinity sessionAffinityConfig trafficDistribution
  type`.split(/\s+/);

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
  ...Object.fromEntries(CLUSTER_FIELDS.map((name) => [name, optional(anything())])),
});

export interface ServicePort {
  /** Empty where the service has one port alone. */
  readonly name: string;
  readonly port: number;
  /** What `appProtocol` says, else the port's name up to its first dash; lower case. Empty: told from the first bytes. */
  readonly protocol: string;
  /** A number, or the name of a port of the workload. */
  readonly targetPort: number | string;
}

/** A Kubernetes Service, as far as a folder of resources needs it. */
export interface Service {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
  /** Empty where there is none. */
  readonly clusterIP: string;
}

/** Istio reads the protocol from the name of a port: `http`, `http-web`, `grpc-web-api`. */
const NAMED_PROTOCOL = /^(grpc-web|http2|https|http|grpc|tls|tcp|udp|mongo|redis|mysql)(?:-|$)/;

export function parseService(resource: Pick<Resource, 'spec'>): ParsedSpec<Service> {
  const { value, issues } = checkShape(SERVICE, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  const { selector = {}, ports = [], clusterIP = '' } = value;
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
      const spoken = (appProtocol ?? NAMED_PROTOCOL.exec(name)?.[1] ?? '').toLowerCase();
      const protocol = transport === 'UDP' ? 'udp' : spoken;
      const target = typeof targetPort === 'number' || typeof targetPort === 'string' ? targetPort : port;
      return Object.freeze({ name, port, protocol, targetPort: target });
    },
  );
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  const address = clusterIP === 'None' ? '' : clusterIP;
  return {
    value: Object.freeze({ selector, ports: Object.freeze(read), clusterIP: address }),
    issues: findings.issues,
  };
}
