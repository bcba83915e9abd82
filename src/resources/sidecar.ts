import { checkShape } from '../config/field-schema.ts';
import { NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import { endpointOf, type SidecarEndpoint } from './sidecar-endpoint.ts';
import { hostOf, type SidecarHost } from './sidecar-host.ts';
import { checkSidecar } from './sidecar-rules.ts';
import { SIDECAR, type WrittenSidecar, type WrittenSidecarPort, type WrittenSidecarTls } from './sidecar-schema.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { isError } from './workload-entry.ts';

export interface SidecarPort {
  /** 0 for a listener on a Unix socket. */
  readonly number: number;
  /** Upper case, such as `HTTP`; empty where it is told from the first bytes. */
  readonly protocol: string;
  readonly name: string;
}

export interface SidecarIngress {
  readonly port: SidecarPort;
  /** An IP address; empty for the workload's own. */
  readonly bind: string;
  readonly captureMode: 'DEFAULT' | 'IPTABLES' | 'NONE';
  /** Absent: the same port on the workload's own address. */
  readonly defaultEndpoint: SidecarEndpoint | undefined;
  readonly tls: WrittenSidecarTls | undefined;
}

export interface SidecarEgress {
  /** Absent for the one that stands for all other ports. */
  readonly port: SidecarPort | undefined;
  /** An IP address or `unix://` path; empty for the default. */
  readonly bind: string;
  readonly captureMode: 'DEFAULT' | 'IPTABLES' | 'NONE';
  readonly hosts: readonly SidecarHost[];
}

/** Which listeners a workload's sidecar has, and which services it may call. */
export interface Sidecar {
  /** Absent for the default of the namespace. */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  readonly ingress: readonly SidecarIngress[];
  readonly egress: readonly SidecarEgress[];
  /** Absent: as the mesh says. */
  readonly outboundTrafficPolicy: 'REGISTRY_ONLY' | 'ALLOW_ANY' | undefined;
}

export function parseSidecar(resource: Pick<Resource, 'spec' | 'namespace'>): ParsedSpec<Sidecar> {
  const { value, issues } = checkShape(SIDECAR, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  checkSidecar(value, findings);
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  return { value: sidecarOf(value), issues: findings.issues };
}

function sidecarOf({ workloadSelector, ingress = [], egress = [], outboundTrafficPolicy }: WrittenSidecar): Sidecar {
  return Object.freeze({
    workloadSelector: workloadSelector === undefined ? undefined : (workloadSelector.labels ?? {}),
    ingress: ingress.map(({ port, bind = '', captureMode = 'DEFAULT', defaultEndpoint, tls }) => {
      const endpoint = endpointOf(defaultEndpoint);
      return Object.freeze({ port: portOf(port), bind, captureMode, defaultEndpoint: endpoint, tls });
    }),
    egress: egress.map(({ port, bind = '', captureMode = 'DEFAULT', hosts }) => {
      const own = port === undefined ? undefined : portOf(port);
      return Object.freeze({ port: own, bind, captureMode, hosts: hosts.map(hostOf) });
    }),
    // A policy without a mode is REGISTRY_ONLY, the first value of the enumeration.
    outboundTrafficPolicy:
      outboundTrafficPolicy === undefined ? undefined : (outboundTrafficPolicy.mode ?? 'REGISTRY_ONLY'),
  });
}

function portOf({ number = 0, protocol = '', name = '' }: WrittenSidecarPort): SidecarPort {
  return Object.freeze({ number, protocol: protocol.toUpperCase(), name });
}
