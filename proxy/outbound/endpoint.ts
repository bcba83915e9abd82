import type { Forward } from '../http1/decision.ts';
import type { Edge } from '../report/edge.ts';
import type { HttpEdgeMetrics, TcpEdgeMetrics } from '../report/istio-metrics.ts';
import type { Member } from '../upstream/balancer.ts';
import type { UpstreamTransport } from '../upstream/upstream-connection.ts';

/** One place where a call can go, with everything that is the same for all calls. */
export interface Endpoint extends Member {
  /** For requests. */
  readonly forward: Forward;
  /** For opaque connections. */
  readonly tcp: UpstreamTransport;
  readonly edge: Edge;
  readonly httpMetrics: HttpEdgeMetrics;
  readonly tcpMetrics: TcpEdgeMetrics;
}
