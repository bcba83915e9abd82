import { strict as assert } from 'node:assert';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { UNKNOWN_SERVICE, type Edge } from '../../../proxy/report/edge.ts';
import { createIstioMetrics, type RequestSample } from '../../../proxy/report/istio-metrics.ts';
import {
  labelled,
  UNKNOWN_WORKLOAD,
  workloadOfNamespace,
  type ReportedWorkload,
} from '../../../proxy/report/reported-workload.ts';
import { describeConformance } from '../../fakes/conformance.ts';

interface GoldenSet {
  readonly file: string;
  readonly metric: string;
  readonly variant?: string;
  readonly labels: Readonly<Record<string, string>>;
}

const CLIENT = labelled({
  workload: 'productpage-v1',
  namespace: 'default',
  canonicalService: 'productpage-v1',
  canonicalRevision: 'version-1',
  cluster: 'client-cluster',
  labels: { app: 'productpage', version: 'v1' },
});
const SERVER = labelled({
  workload: 'ratings-v1',
  namespace: 'default',
  canonicalService: 'ratings',
  canonicalRevision: 'version-1',
  cluster: 'server-cluster',
  labels: { app: 'ratings', version: 'v1' },
});
const SERVICE = { host: 'server.default.svc.cluster.local', name: 'server', namespace: 'default' };
const OK: RequestSample = {
  protocol: 'http',
  status: 200,
  flags: '-',
  grpcStatus: '',
  duration: 12,
  requestBytes: 3,
  responseBytes: 2000,
};

const without = ({ app: _app, version: _version, ...rest }: ReportedWorkload): ReportedWorkload =>
  labelled({ ...rest, labels: {} });

function edge(fields: Partial<Edge>): Edge {
  return {
    reporter: 'source',
    source: CLIENT,
    sourcePrincipal: undefined,
    destination: SERVER,
    destinationPrincipal: undefined,
    service: SERVICE,
    ...fields,
  };
}

async function rendered(count: (metrics: ReturnType<typeof createIstioMetrics>) => void): Promise<string[]> {
  const metrics = createMetrics({ processMetrics: false });
  count(createIstioMetrics({ metrics }));
  return (await metrics.render()).body.split('\n');
}

describe('the standard metrics', () => {
  it('observes durations and sizes in the buckets of Envoy', async () => {
    const lines = await rendered((metrics) => metrics.http(edge({})).count(OK));
    const bounds = lines.flatMap(
      (line) => /^istio_request_duration_milliseconds_bucket\{le="([^"]+)"/.exec(line)?.[1] ?? [],
    );
    assert.equal(
      bounds.join(' '),
      '0.5 1 5 10 25 50 100 250 500 1000 2500 5000 10000 30000 60000 300000 600000 1800000 3600000 +Inf',
    );
    const value = (start: string): string | undefined =>
      lines
        .find((line) => line.startsWith(start))
        ?.split(' ')
        .at(-1);
    assert.equal(value('istio_request_duration_milliseconds_sum'), '12');
    assert.equal(value('istio_request_bytes_sum'), '3');
    assert.equal(value('istio_response_bytes_sum'), '2000');
  });

  it('never counts plaintext as authenticated (invariant 4)', async () => {
    const lines = await rendered((metrics) => {
      metrics.http(edge({ reporter: 'destination' })).count(OK);
      metrics.tcp(edge({ reporter: 'destination' })).opened('-');
    });
    const series = lines.filter((line) => /^istio_(requests|tcp_connections_opened)_total\{/.test(line));
    assert.equal(series.length, 2);
    for (const line of series) {
      assert.match(line, /connection_security_policy="none"/);
      assert.match(line, /source_principal="unknown"/);
    }
  });

  it('separates requests by status and flags, also when they alternate', async () => {
    const lines = await rendered((metrics) => {
      const http = metrics.http(edge({}));
      for (let turn = 0; turn < 3; turn += 1) {
        http.count(OK);
        http.count({ ...OK, status: 0, flags: 'DC' });
        http.count({ ...OK, status: 503, flags: 'UF' });
      }
    });
    const values = lines
      .filter((line) => line.startsWith('istio_requests_total{'))
      .map((line) => [
        /response_code="(\d+)"/.exec(line)?.[1],
        /response_flags="([^"]+)"/.exec(line)?.[1],
        line.at(-1),
      ]);
    assert.deepEqual(values, [
      ['200', '-', '3'],
      ['0', 'DC', '3'],
      ['503', 'UF', '3'],
    ]);
  });
});

describeConformance("Istio's golden label sets", 'metric-labels', ({ json }) => {
  const { sets } = json('metric-labels', 'labels.json') as { sets: GoldenSet[] };
  const principals = {
    sourcePrincipal: 'spiffe://cluster.local/ns/default/sa/client',
    destinationPrincipal: 'spiffe://cluster.local/ns/default/sa/server',
  };
  const fallback = 'app and version fall back to the canonical labels';
  const http = (reporter: Edge['reporter'], more: Partial<Edge> = {}) => {
    return (metrics: ReturnType<typeof createIstioMetrics>, { variant }: GoldenSet): void => {
      const sample = { ...OK, ...VARIANTS[variant ?? ''] };
      metrics.http(edge({ reporter, ...more })).count(sample);
    };
  };
  const messages = (reporter: Edge['reporter']) => (metrics: ReturnType<typeof createIstioMetrics>) =>
    metrics.http(edge({ reporter })).countMessages(1, 1);
  const tcp = (reporter: Edge['reporter'], more: Partial<Edge> = {}) => {
    return (metrics: ReturnType<typeof createIstioMetrics>, { variant }: GoldenSet): void => {
      const source = variant === fallback && reporter === 'destination' ? without(CLIENT) : CLIENT;
      const series = metrics.tcp(edge({ reporter, ...principals, source, ...more }));
      series.opened('-');
      series.transferred('-', 1, 1);
      series.closed('-');
    };
  };
  const VARIANTS: Record<string, Partial<RequestSample>> = {
    'gRPC status 7': { protocol: 'grpc', grpcStatus: '7' },
    'response code 403': { status: 403 },
  };
  const hostFallback = { service: { ...SERVICE, host: '127.0.0.1:1', name: '127.0.0.1:1' } };
  const CASES: Record<string, (metrics: ReturnType<typeof createIstioMetrics>, set: GoldenSet) => void> = {
    'client_request_total.yaml.tmpl': http('source'),
    'client_request_total_cluster_metadata_precedence.yaml.tmpl': http('source', {
      service: { ...SERVICE, namespace: 'server' },
    }),
    'client_disable_host_header_fallback.yaml.tmpl': http('source', {
      service: { ...UNKNOWN_SERVICE, namespace: 'default' },
    }),
    'host_header_fallback.yaml.tmpl': http('source', hostFallback),
    'server_request_total.yaml.tmpl': http('destination'),
    'server_request_messages.yaml.tmpl': messages('destination'),
    'server_response_messages.yaml.tmpl': messages('destination'),
    'tcp_client_connection_close.yaml.tmpl': tcp('source'),
    'tcp_client_connection_open.yaml.tmpl': tcp('source'),
    'tcp_client_received_bytes.yaml.tmpl': tcp('source'),
    'tcp_client_sent_bytes.yaml.tmpl': tcp('source'),
    'tcp_client_sent_bytes_unknown.yaml.tmpl': tcp('source', {
      sourcePrincipal: undefined,
      destinationPrincipal: undefined,
      destination: UNKNOWN_WORKLOAD,
      service: { ...SERVICE, namespace: 'unknown' },
    }),
    'tcp_server_connection_close.yaml.tmpl': tcp('destination'),
    'tcp_server_connection_open.yaml.tmpl': tcp('destination'),
    'tcp_server_connection_open_without_mx.yaml.tmpl': tcp('destination', { source: workloadOfNamespace('default') }),
    'tcp_server_received_bytes.yaml.tmpl': tcp('destination'),
    'tcp_server_sent_bytes.yaml.tmpl': tcp('destination'),
  };
  /** Telemetry's additional labels and response classes are not built; the unknown destination has no version. */
  const LEFT_OUT = ['additional label role', 'response code class'];

  const cases = sets.filter(({ file, variant = '' }) => CASES[file] !== undefined && !LEFT_OUT.includes(variant));

  it('are there', () => assert.ok(cases.length >= 28, `${cases.length} cases`));

  for (const set of cases) {
    if (set.file === 'tcp_client_sent_bytes_unknown.yaml.tmpl' && set.variant === fallback) continue;
    // Rendered for a client whose labels are known and a server whose are not, which no metadata of ours can say.
    const fallsBackHere = set.variant === fallback && set.labels['reporter'] === 'source';
    it(`${set.file}${set.variant === undefined ? '' : `, ${set.variant}`}`, async () => {
      const lines = await rendered((metrics) => CASES[set.file]?.(metrics, set));
      const labels = { ...set.labels };
      if (fallsBackHere) labels['destination_version'] = 'v1';
      const wanted = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
      assert.ok(
        lines.some((line) => line.startsWith(`${set.metric}{${wanted.join(',')}} `)),
        `${wanted.join(',')}\nnot in\n${lines.filter((line) => line.startsWith(`${set.metric}{`)).join('\n')}`,
      );
    });
  }
});
