import { UNKNOWN } from './labels.ts';
import type { ReportedWorkload } from './reported-workload.ts';

/** The service that was called. */
export interface ReportedService {
  /** Its whole name. */
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
}

/** Who speaks with whom, and who says so. All that a connection's metrics share. */
export interface Edge {
  readonly reporter: 'source' | 'destination';
  readonly source: ReportedWorkload;
  /** The whole SPIFFE ID, from a verified certificate and nothing else; undefined in plaintext. */
  readonly sourcePrincipal: string | undefined;
  readonly destination: ReportedWorkload;
  readonly destinationPrincipal: string | undefined;
  readonly service: ReportedService;
}

export const UNKNOWN_SERVICE: ReportedService = Object.freeze({ host: UNKNOWN, name: UNKNOWN, namespace: UNKNOWN });

/** As Istio names services: a Kubernetes service by its own name, any other by its whole host. */
export function reportedService(namespace: string, hostname: string): ReportedService {
  const name = hostname.includes('.svc.') ? hostname.slice(0, hostname.indexOf('.')) : hostname;
  return Object.freeze({ host: hostname, name, namespace });
}

/** The label values of an edge, in the order of `EDGE_LABELS`. */
export function edgeValues(edge: Edge): string[] {
  const { source, destination, service } = edge;
  return [
    edge.reporter,
    source.workload,
    source.canonicalService,
    source.canonicalRevision,
    source.namespace,
    edge.sourcePrincipal ?? UNKNOWN,
    source.app,
    source.version,
    source.cluster,
    destination.workload,
    destination.namespace,
    edge.destinationPrincipal ?? UNKNOWN,
    destination.app,
    destination.version,
    service.host,
    destination.canonicalService,
    destination.canonicalRevision,
    service.name,
    service.namespace,
    destination.cluster,
  ];
}

/**
 * `connection_security_policy`. A client never knows how the server took the connection, so Istio's clients say
 * nothing; a server says `mutual_tls` only of a peer that was verified (invariant 4: plaintext is never counted as
 * authenticated).
 */
export function securityPolicy({ reporter, sourcePrincipal }: Edge): 'mutual_tls' | 'none' | 'unknown' {
  if (reporter === 'source') return UNKNOWN;
  return sourcePrincipal === undefined ? 'none' : 'mutual_tls';
}
