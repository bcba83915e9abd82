import { isIP } from 'node:net';
import {
  checkShape,
  fields,
  integer,
  listOf,
  mapOf,
  oneOf,
  optional,
  text,
  type Read,
} from '../config/field-schema.ts';
import { isDnsName, isWildcardName, namesItsHost, NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { checkWorkloadEntry, isError, WORKLOAD_ENTRY, workloadEntryOf, type WorkloadEntry } from './workload-entry.ts';

const UINT32 = { min: 0, max: 4_294_967_295 } as const;

export const WORKLOAD_SELECTOR = fields({ labels: optional(mapOf(text({ max: 63 }), { max: 256 })) });

const PORT = fields({
  name: text({ max: 256 }),
  number: integer(UINT32),
  protocol: optional(text({ max: 256 })),
  targetPort: optional(integer(UINT32)),
});

const SERVICE_ENTRY = fields({
  hosts: listOf(text(), { min: 1, max: 256 }),
  addresses: optional(listOf(text({ max: 64 }), { max: 256 })),
  ports: optional(listOf(PORT, { max: 256 })),
  location: optional(oneOf('MESH_EXTERNAL', 'MESH_INTERNAL')),
  resolution: optional(oneOf('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS')),
  endpoints: optional(listOf(WORKLOAD_ENTRY, { max: 4096 })),
  workloadSelector: optional(WORKLOAD_SELECTOR),
  exportTo: optional(listOf(text(), { max: 256 })),
  subjectAltNames: optional(listOf(text(), { max: 256 })),
});

type Written = Read<typeof SERVICE_ENTRY>;

export interface ServiceEntryPort {
  readonly name: string;
  readonly number: number;
  /** Upper case, such as `HTTP`; empty where it is told from the first bytes. */
  readonly protocol: string;
  /** The port of the endpoints, where theirs do not say: `number` unless written. */
  readonly targetPort: number;
}

/** A service that Kubernetes does not know: its names, its ports, and where it is. */
export interface ServiceEntry {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly ports: readonly ServiceEntryPort[];
  readonly location: 'MESH_EXTERNAL' | 'MESH_INTERNAL';
  readonly resolution: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';
  readonly endpoints: readonly WorkloadEntry[];
  /** Labels of the workloads behind it; an empty object selects all of the namespace. */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  readonly exportTo: readonly string[];
  readonly subjectAltNames: readonly string[];
}

export function parseServiceEntry(resource: Pick<Resource, 'spec' | 'namespace'>): ParsedSpec<ServiceEntry> {
  const { value, issues } = checkShape(SERVICE_ENTRY, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  checkHosts(value, findings);
  checkPorts(value, findings);
  checkEndpoints(value, findings);
  checkExportTo(value.exportTo ?? [], resource.namespace, findings);
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  return { value: serviceEntryOf(value), issues: findings.issues };
}

function serviceEntryOf(written: Written): ServiceEntry {
  const { ports = [], endpoints = [], workloadSelector } = written;
  return Object.freeze({
    hosts: written.hosts,
    addresses: written.addresses ?? [],
    ports: ports.map(({ name, number, protocol = '', targetPort = 0 }) => {
      return Object.freeze({
        name,
        number,
        protocol: protocol.toUpperCase(),
        targetPort: targetPort === 0 ? number : targetPort,
      });
    }),
    // Both are the first value of their enumeration in the proto.
    location: written.location ?? 'MESH_EXTERNAL',
    resolution: written.resolution ?? 'NONE',
    endpoints: endpoints.map(workloadEntryOf),
    workloadSelector: workloadSelector === undefined ? undefined : (workloadSelector.labels ?? {}),
    exportTo: written.exportTo ?? ['*'],
    subjectAltNames: written.subjectAltNames ?? [],
  });
}

function checkHosts({ hosts, addresses = [], resolution = 'NONE', endpoints }: Written, findings: NetworkingFindings) {
  const dynamic = resolution === 'DYNAMIC_DNS';
  for (const [index, host] of hosts.entries()) {
    const path = `spec.hosts[${index}]`;
    if (host === '*')
      findings.error(path, 'host_wildcard', 'a host cannot be * alone', 'name the domain: *.example.com');
    else if (isIP(host) !== 0) {
      // As Istio has it, whose last label may be no number; whoever calls the address is led by `addresses`.
      const remedy = 'write any name here, such as db.example.com, and the address under addresses or endpoints';
      findings.error(path, 'host_address', 'an IP address is no host', remedy);
    } else if (!isWildcardName(host))
      findings.error(path, 'host_invalid', 'not a DNS name', 'write one such as db.example.com');
    else if (dynamic && !host.startsWith('*')) {
      findings.error(path, 'host_not_wildcard', 'DYNAMIC_DNS needs wildcard hosts', 'write one such as *.example.com');
    } else if (!dynamic && host.startsWith('*') && !host.startsWith('*.')) {
      const message = 'a wildcard within a label';
      findings.warning(path, 'host_partial_wildcard', message, 'write *.domain, which matches whole labels');
    } else if (resolution.startsWith('DNS') && (endpoints ?? []).length === 0 && !isDnsName(host)) {
      findings.error(path, 'host_invalid', 'a wildcard cannot be resolved', 'write a whole name, or give endpoints');
    }
  }
  for (const [index, address] of addresses.entries()) {
    findings.addressOrRange(`spec.addresses[${index}]`, address);
    if (address.includes('/') && resolution !== 'NONE' && resolution !== 'STATIC') {
      const remedy = 'write single addresses, or set resolution to NONE or STATIC';
      findings.error(`spec.addresses[${index}]`, 'address_range', `a CIDR range with resolution ${resolution}`, remedy);
    }
  }
  if (dynamic && addresses.length > 0) {
    findings.error('spec.addresses', 'address_unwanted', 'addresses with resolution DYNAMIC_DNS', 'leave them out');
  }
}

function checkPorts({ ports = [], hosts, resolution = 'NONE' }: Written, findings: NetworkingFindings): void {
  for (const [index, port] of ports.entries()) {
    const path = `spec.ports[${index}]`;
    const before = ports.slice(0, index);
    findings.portName(`${path}.name`, port.name);
    findings.port(`${path}.number`, port.number);
    findings.protocol(`${path}.protocol`, port.protocol);
    if (port.targetPort !== undefined) findings.port(`${path}.targetPort`, port.targetPort);
    if (before.some((other) => other.name === port.name)) {
      findings.error(`${path}.name`, 'port_duplicate', 'a second port of this name', 'give each port its own name');
    }
    if (before.some((other) => other.number === port.number)) {
      findings.error(`${path}.number`, 'port_duplicate', 'a second port of this number', 'keep one of them');
    }
    const protocol = (port.protocol ?? '').toUpperCase();
    if (resolution === 'DYNAMIC_DNS' && !['HTTP', 'HTTP2', 'GRPC', 'TLS'].includes(protocol)) {
      const message = 'DYNAMIC_DNS needs a protocol that names the host';
      findings.error(`${path}.protocol`, 'protocol_unfit', message, 'one of: HTTP, HTTP2, GRPC, TLS');
    } else if (resolution !== 'NONE' && hosts.length > 1 && !namesItsHost(port.protocol)) {
      // Nothing in a plain TCP stream says which of the hosts is meant.
      const message = 'several hosts share a port whose protocol names none';
      findings.error(`${path}.protocol`, 'protocol_unfit', message, 'split the hosts, or write HTTP or TLS');
    }
  }
}

function checkEndpoints(written: Written, findings: NetworkingFindings): void {
  const { endpoints, workloadSelector, resolution = 'NONE', ports = [] } = written;
  findings.selector('spec.workloadSelector', workloadSelector);
  if (workloadSelector !== undefined && endpoints !== undefined) {
    findings.error('spec.endpoints', 'endpoints_and_selector', 'endpoints and a selector', 'keep one of them');
  }
  if (workloadSelector !== undefined && resolution === 'NONE') {
    const message = 'with resolution NONE the selected workloads are not used';
    findings.warning('spec.workloadSelector', 'selector_unused', message, 'set resolution to STATIC');
  }
  if (endpoints === undefined) return;
  if (resolution === 'NONE' || resolution === 'DYNAMIC_DNS') {
    const message = `endpoints with resolution ${resolution}`;
    findings.error(
      'spec.endpoints',
      'endpoints_unwanted',
      message,
      'leave them out, or set resolution to STATIC or DNS',
    );
    return;
  }
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) {
    findings.error(
      'spec.endpoints',
      'endpoints_many',
      'more than one endpoint with DNS_ROUND_ROBIN',
      'keep one, or use DNS',
    );
  }
  const names = new Set(ports.map((port) => port.name));
  for (const [index, endpoint] of endpoints.entries()) {
    const path = `spec.endpoints[${index}]`;
    checkWorkloadEntry(endpoint, path, findings, { ports: names, allowNames: resolution !== 'STATIC' });
    if (resolution !== 'STATIC' && endpoint.address?.startsWith('unix://') === true) {
      findings.error(
        `${path}.address`,
        'address_invalid',
        'a Unix socket cannot be resolved',
        'set resolution to STATIC',
      );
    }
  }
}

function checkExportTo(exportTo: readonly string[], namespace: string, findings: NetworkingFindings): void {
  const seen = new Set<string>();
  for (const [index, written] of exportTo.entries()) {
    const path = `spec.exportTo[${index}]`;
    const entry = written === '.' ? namespace : written;
    const alone = entry === '*' || entry === '~';
    if (!alone && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(entry)) {
      findings.error(path, 'export_invalid', 'not a namespace', 'write a namespace, or one of . * ~');
    } else if (seen.has(entry))
      findings.error(path, 'export_duplicate', 'twice the same namespace', 'keep one of them');
    else if (alone && exportTo.length > 1) {
      findings.error(path, 'export_contradiction', `${entry} beside other entries`, 'keep it alone, or leave it out');
    }
    seen.add(entry);
  }
}
