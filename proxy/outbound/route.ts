import { prepareAnswer, type PreparedAnswer } from '../http1/answers.ts';
import { UNKNOWN_SERVICE, type ReportedService } from '../report/edge.ts';
import type { DestinationName } from '../agent/destination.ts';
import type { Cluster } from './cluster.ts';
import type { VisibleHosts } from './visible-hosts.ts';

/** What an application asks for. */
export interface Target {
  readonly name: DestinationName;
  /** Ports of the service that may be meant, the likeliest first. */
  readonly ports: readonly number[];
  /** Whether a service's only port is meant where it has none of them: the listener's own number is a local matter. */
  readonly anyPort: boolean;
  /** What the listener may reach. */
  readonly visible: VisibleHosts;
  /** Whether the listener leads out of the mesh, where the mesh allows that. */
  readonly open: boolean;
  /** What is meant where the name is not that of a service with one of the ports: where an intercepted call was going. */
  readonly otherwise?: Target;
}

export type Route = Routed | Refused;

export interface Routed {
  readonly kind: 'cluster';
  readonly cluster: Cluster;
}

/** Nobody is called. */
export interface Refused {
  readonly kind: 'refused';
  readonly answer: PreparedAnswer;
  /** Envoy's response flags and details. */
  readonly flags: string;
  readonly detail: string;
  /** The same in words, where it is the upstream's affair: Envoy's log has a field for those. */
  readonly reason: string;
  /** What the metrics say was called. */
  readonly service: ReportedService;
  /** Envoy's name of it; empty where nothing is known. */
  readonly cluster: string;
  /** Whether it may be over before the configuration or the destination changes. */
  readonly passing: boolean;
}

interface Refusal {
  readonly status: 404 | 502 | 503;
  readonly flags: string;
  readonly detail: string;
  readonly body: string;
  /** The body's words where nothing is said. */
  readonly reason?: string;
  readonly service?: ReportedService;
  readonly cluster?: string;
  readonly passing?: boolean;
}

export function refuse({ status, flags, detail, body, ...more }: Refusal): Refused {
  const { reason = status === 503 ? body : '', service = UNKNOWN_SERVICE, cluster = '', passing = false } = more;
  const answer = prepareAnswer({ status, body });
  return Object.freeze({ kind: 'refused', answer, flags, detail, reason, service, cluster, passing });
}

/** The same, of a destination that is known. */
export function refusedAt(refused: Refused, known: Partial<Pick<Refused, 'cluster' | 'service' | 'reason'>>): Refused {
  return Object.freeze({ ...refused, ...known });
}

/** Envoy's cluster for what nothing may reach, by which Istio's dashboards know it. */
const BLACK_HOLE: ReportedService = Object.freeze({ ...UNKNOWN_SERVICE, name: 'BlackHoleCluster' });

export const REFUSED = {
  unconfigured: refuse({
    status: 503,
    flags: 'NC',
    detail: 'no_configuration',
    body: 'the sidecar has no configuration yet',
  }),
  noCertificate: refuse({
    status: 503,
    flags: 'UF',
    detail: 'no_certificate',
    body: 'the sidecar has no certificate yet',
    // One comes without the configuration changing.
    passing: true,
  }),
  notVisible: refuse({
    status: 404,
    flags: 'NR',
    detail: 'route_not_found',
    body: 'no route: the Sidecar resource does not let this listener reach the host',
    service: BLACK_HOLE,
    cluster: BLACK_HOLE.name,
  }),
  noPort: refuse({
    status: 404,
    flags: 'NR',
    detail: 'route_not_found{port}',
    body: 'no route: the service has no such port',
  }),
  outside: refuse({
    status: 502,
    flags: '-',
    detail: 'direct_response',
    body: 'the host is not in the mesh, and outboundTrafficPolicy is REGISTRY_ONLY',
    service: BLACK_HOLE,
    cluster: BLACK_HOLE.name,
  }),
  noHost: refuse({
    status: 404,
    flags: 'NR',
    detail: 'route_not_found{host}',
    body: 'no route: the request names no host',
  }),
  unproven: refuse({
    status: 503,
    flags: 'UH',
    detail: 'no_healthy_upstream{mtls}',
    body: 'a DestinationRule asks for TLS, and nobody knows who is to answer',
  }),
  loop: refuse({
    status: 502,
    flags: 'NR',
    detail: 'route_not_found{loop}',
    body: 'no route: the destination is this sidecar itself',
  }),
  noAddress: refuse({
    status: 503,
    flags: 'DF',
    detail: 'dns_resolution_failure',
    body: 'the host is not in the mesh, and its name has no address',
  }),
  unhealthy: refuse({
    status: 503,
    flags: 'UH',
    detail: 'no_healthy_upstream',
    body: 'no healthy upstream',
    reason: 'there is no endpoint that may be called',
  }),
} as const;

/** Where none of the endpoints of a destination may be called at the moment. */
export function unhealthy({ name, members }: Cluster): Refused {
  const reason = `${members.length === 1 ? 'its endpoint is' : `all ${members.length} endpoints are`} left out of service`;
  const service = members[0]?.edge.service ?? UNKNOWN_SERVICE;
  return refusedAt(REFUSED.unhealthy, { cluster: name, service, reason });
}
