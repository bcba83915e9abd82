import { isIP } from 'node:net';
import { checkShape, fields, integer, mapOf, optional, text, type Read } from '../config/field-schema.ts';
import type { Issue } from '../core/issue.ts';
import { isDnsName, NetworkingFindings, UNIX } from './networking-value.ts';
import type { Resource } from './resource.ts';
import type { ParsedSpec } from './typed-spec.ts';

/** Limits are those of the CRD; numbers are uint32 in the proto. */
const UINT32 = { min: 0, max: 4_294_967_295 } as const;

export const WORKLOAD_ENTRY = fields({
  address: optional(text({ max: 256 })),
  ports: optional(mapOf(integer(UINT32), { max: 128 })),
  labels: optional(mapOf(text(), { max: 256 })),
  network: optional(text({ max: 2048 })),
  locality: optional(text({ max: 2048 })),
  weight: optional(integer(UINT32)),
  serviceAccount: optional(text({ max: 253 })),
});

/** One workload outside Kubernetes (or on a laptop): where it is, and which service account it is. */
export interface WorkloadEntry {
  /** An IP address, a DNS name, `unix:///path` or `unix://@name`; empty where only the network is known. */
  readonly address: string;
  /** By the name of the service's port. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  readonly locality: string;
  /** The share of calls among the endpoints of a service; 0 stands for unset, which counts as 1. */
  readonly weight: number;
  /** In the entry's own namespace; empty where unset, and then no identity belongs to it. */
  readonly serviceAccount: string;
}

export function parseWorkloadEntry(resource: Pick<Resource, 'spec'>): ParsedSpec<WorkloadEntry> {
  const { value, issues } = checkShape(WORKLOAD_ENTRY, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  checkWorkloadEntry(value, 'spec', findings);
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  return { value: workloadEntryOf(value), issues: findings.issues };
}

export function workloadEntryOf(written: Read<typeof WORKLOAD_ENTRY>): WorkloadEntry {
  const {
    address = '',
    ports = {},
    labels = {},
    network = '',
    locality = '',
    weight = 0,
    serviceAccount = '',
  } = written;
  return Object.freeze({ address, ports, labels, network, locality, weight, serviceAccount });
}

/** What is wrong with one entry, alone or as an endpoint of a service. */
export function checkWorkloadEntry(
  entry: Read<typeof WORKLOAD_ENTRY>,
  path: string,
  findings: NetworkingFindings,
  inService?: { readonly ports: ReadonlySet<string>; readonly allowNames: boolean },
): void {
  const { address = '', ports = {}, network = '', labels, serviceAccount } = entry;
  if (address === '' && network === '') {
    findings.error(`${path}.address`, 'address_required', 'neither address nor network', 'write the address');
  } else if (address === '') {
    findings.warning(`${path}.address`, 'address_unset', 'no address: only its network is known', 'write the address');
  } else if (address.startsWith(UNIX)) {
    findings.unixPath(`${path}.address`, address);
    if (Object.keys(ports).length > 0) {
      findings.error(`${path}.ports`, 'unix_address_ports', 'a Unix socket has no ports', 'leave the ports out');
    }
    if (inService !== undefined && inService.ports.size !== 1) {
      const message = 'a Unix socket can only serve a service of one port';
      findings.error(`${path}.address`, 'unix_address_ports', message, 'give the service one port');
    }
  } else if (isIP(address) === 0 && !(isDnsName(address) && (inService?.allowNames ?? true))) {
    const remedy = inService?.allowNames === false ? 'write an IP address' : 'write an IP address or a DNS name';
    findings.error(`${path}.address`, 'address_invalid', 'not an address', remedy);
  }
  for (const [name, port] of Object.entries(ports)) {
    const place = `${path}.ports[${JSON.stringify(name)}]`;
    findings.portName(place, name);
    findings.port(place, port);
    if (inService !== undefined && !inService.ports.has(name)) {
      findings.error(place, 'port_unknown', 'the service has no port of this name', 'name one of its ports');
    }
  }
  findings.labels(`${path}.labels`, labels);
  if (serviceAccount !== undefined && !/^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$/.test(serviceAccount)) {
    // Stricter than Istio, which would make an identity of it that no SPIFFE parser takes.
    const remedy = 'write its name alone, of a-z 0-9 - and .';
    findings.error(`${path}.serviceAccount`, 'name_invalid', 'not the name of a service account', remedy);
  }
}

export function isError(issue: Issue): boolean {
  return issue.severity === 'error';
}
