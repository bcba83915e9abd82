import type { Across, Metrics } from '../../src/observe/metrics.ts';
import type { ReadSeries } from '../../src/observe/read-series.ts';
import type { ClusterCounts } from './cluster-counts.ts';
import type { UpstreamCluster } from './upstream-cluster.ts';
import type { Member } from './balancer.ts';

type Cluster = UpstreamCluster<Member>;

const COUNTERS: readonly (readonly [name: keyof ClusterCounts, help: string])[] = [
  ['upstream_cx_total', 'Connections opened.'],
  ['upstream_cx_connect_fail', 'Connections that were not had.'],
  ['upstream_cx_connect_timeout', 'Of these, the ones that took too long.'],
  ['upstream_cx_overflow', 'Calls that met the bound of connections.'],
  ['upstream_cx_none_healthy', 'Calls that found no endpoint to go to.'],
  ['upstream_rq_total', 'Requests that were given a connection.'],
  ['upstream_rq_pending_total', 'Requests that waited for a connection to be opened.'],
  ['upstream_rq_pending_overflow', 'Requests refused, since too many were under way or waited.'],
  ['upstream_rq_retry', 'Second tries.'],
  ['upstream_rq_retry_success', 'Second tries that were answered.'],
  ['upstream_rq_retry_overflow', 'Second tries that were too many at a time.'],
  ['upstream_rq_retry_limit_exceeded', 'Requests that were tried as often as they may be.'],
  ['outlier_detection_ejections_enforced_total', 'Endpoints left out for a while.'],
  ['outlier_detection_ejections_enforced_consecutive_5xx', 'Of these, after server errors.'],
  ['outlier_detection_ejections_enforced_consecutive_gateway_failure', 'Of these, after gateway errors.'],
  ['outlier_detection_ejections_enforced_consecutive_local_origin_failure', 'Of these, after failures to reach them.'],
  ['outlier_detection_ejections_overflow', 'Endpoints kept, since too many are left out.'],
];

const GAUGES: Readonly<Record<string, readonly [help: string, read: (cluster: Cluster) => number, across?: Across]>> = {
  upstream_cx_active: ['Open connections.', ({ circuit }) => circuit.connections],
  upstream_rq_active: [
    'Requests under way, opaque connections included.',
    ({ circuit }) => circuit.active - circuit.pending,
  ],
  upstream_rq_pending_active: ['Requests that wait for a connection.', ({ circuit }) => circuit.pending],
  outlier_detection_ejections_active: ['Endpoints that are left out.', (cluster) => cluster.ejected, 'most'],
  membership_total: ['Endpoints.', (cluster) => cluster.members.length, 'most'],
  membership_healthy: ['Endpoints that are called.', (cluster) => cluster.healthy, 'most'],
};

/**
 * What is open to each destination and what became of it, by the names of Envoy's cluster statistics as Istio's sidecars
 * give them to Prometheus. As many series as there are destinations in use, which are bounded.
 */
export function exposeClusters(metrics: Metrics, clusters: { readonly all: Iterable<Cluster> }): void {
  const labels = ['cluster_name'];
  for (const [name, help] of COUNTERS) {
    metrics.readCounter(`envoy_cluster_${name}`, help, labels, () =>
      // Clusters of one name share their counts.
      seriesOf(
        clusters.all,
        ({ circuit }) => circuit.counts[name],
        (_, value) => value,
      ),
    );
  }
  for (const [name, [help, read, across]] of Object.entries(GAUGES)) {
    const series = (): ReadSeries[] => seriesOf(clusters.all, read, (sum, value) => sum + value);
    metrics.readGauge(`envoy_cluster_${name}`, help, labels, series, across);
  }
}

/** One series a name, of however many clusters. */
function seriesOf(
  clusters: Iterable<Cluster>,
  read: (cluster: Cluster) => number,
  join: (sum: number, value: number) => number,
): ReadSeries[] {
  const byName = new Map<string, number>();
  for (const cluster of clusters) byName.set(cluster.name, join(byName.get(cluster.name) ?? 0, read(cluster)));
  return [...byName].map(([name, value]) => ({ values: [name], value }));
}
