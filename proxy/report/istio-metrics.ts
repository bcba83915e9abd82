import type { Count, CounterFamily, Distribution, HistogramFamily, Metrics } from '../../src/observe/metrics.ts';
import { edgeValues, securityPolicy, type Edge } from './edge.ts';
import { EDGE_LABELS, HTTP_LABELS, TCP_LABELS } from './labels.ts';
import { SeriesBudget, type Budgeted } from './series-budget.ts';

/** Envoy's default buckets, which Istio uses for milliseconds and bytes alike. */
const BUCKETS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

/**
 * Sets of label values each of HTTP and TCP. A workload with a hundred peers that answers each with five status codes
 * fits; a scrape of all of them is about 30 MB, which is as much as one should take.
 */
const DEFAULT_LIMIT = 500;

/** What one finished request adds. */
export interface RequestSample {
  readonly protocol: 'http' | 'grpc';
  /** 0 when no status was sent. */
  readonly status: number;
  readonly flags: string;
  /** Empty where it is no gRPC. */
  readonly grpcStatus: string;
  /** Milliseconds. */
  readonly duration: number;
  /** Of the bodies. */
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** The HTTP metrics of one edge. */
export interface HttpEdgeMetrics {
  count(sample: RequestSample): void;
  /** Messages of a gRPC call, both ways. */
  countMessages(requests: number, responses: number): void;
}

/** The TCP metrics of one edge. Bytes as the server sees them: `sent` goes to the client (istio/istio#32399). */
export interface TcpEdgeMetrics {
  opened(flags: string): void;
  transferred(flags: string, sent: number, received: number): void;
  closed(flags: string): void;
}

/** Istio's standard metrics, for both reporters. */
export interface IstioMetrics {
  http(edge: Edge): HttpEdgeMetrics;
  tcp(edge: Edge): TcpEdgeMetrics;
}

export interface IstioMetricsOptions {
  readonly metrics: Metrics;
  readonly limit?: number;
}

export function createIstioMetrics({ metrics, limit = DEFAULT_LIMIT }: IstioMetricsOptions): IstioMetrics {
  const evictions = metrics.counter('sealwright_metric_evictions_total', 'Label sets let go to keep within bounds.');
  const evicted = evictions.of();
  const onEvicted = (): void => evicted.add();
  const http = createHttpBudget(metrics, { limit, onEvicted });
  const messages = createMessageBudget(metrics, { limit, onEvicted });
  const tcp = createTcpBudget(metrics, { limit, onEvicted });
  metrics.gauge('sealwright_metric_label_sets', 'Label sets in use.', () => http.size + messages.size + tcp.size);
  return {
    http: (edge) => new HttpEdge(edge, http, messages),
    tcp: (edge) => new TcpEdge(edge, tcp),
  };
}

interface Bounds {
  readonly limit: number;
  readonly onEvicted: () => void;
}

interface HttpSeries extends Budgeted {
  readonly requests: Count;
  readonly duration: Distribution;
  readonly requestBytes: Distribution;
  readonly responseBytes: Distribution;
}

function createHttpBudget(metrics: Metrics, bounds: Bounds): SeriesBudget<HttpSeries> {
  const requests = metrics.counter('istio_requests_total', 'Requests, by who asked whom.', HTTP_LABELS);
  const histogram = (name: string, help: string): HistogramFamily =>
    metrics.histogram(`istio_${name}`, help, BUCKETS, HTTP_LABELS);
  const duration = histogram(
    'request_duration_milliseconds',
    'Milliseconds from a request to the end of its response.',
  );
  const requestBytes = histogram('request_bytes', 'Bytes of request bodies.');
  const responseBytes = histogram('response_bytes', 'Bytes of response bodies.');
  return new SeriesBudget({
    ...bounds,
    create: (values) => ({
      used: true,
      evicted: false,
      requests: requests.of(...values),
      duration: duration.of(...values),
      requestBytes: requestBytes.of(...values),
      responseBytes: responseBytes.of(...values),
    }),
    release: (values) => {
      for (const family of [requests, duration, requestBytes, responseBytes]) family.remove(...values);
    },
  });
}

interface MessageSeries extends Budgeted {
  readonly requests: Count;
  readonly responses: Count;
}

function createMessageBudget(metrics: Metrics, bounds: Bounds): SeriesBudget<MessageSeries> {
  const requests = metrics.counter('istio_request_messages_total', 'gRPC messages from clients.', EDGE_LABELS);
  const responses = metrics.counter('istio_response_messages_total', 'gRPC messages from servers.', EDGE_LABELS);
  return new SeriesBudget({
    ...bounds,
    create: (values) => ({
      used: true,
      evicted: false,
      requests: requests.of(...values),
      responses: responses.of(...values),
    }),
    release: (values) => {
      requests.remove(...values);
      responses.remove(...values);
    },
  });
}

interface TcpSeries extends Budgeted {
  readonly opened: Count;
  readonly closed: Count;
  readonly sent: Count;
  readonly received: Count;
}

function createTcpBudget(metrics: Metrics, bounds: Bounds): SeriesBudget<TcpSeries> {
  const counter = (name: string, help: string): CounterFamily =>
    metrics.counter(`istio_tcp_${name}_total`, help, TCP_LABELS);
  const opened = counter('connections_opened', 'TCP connections opened.');
  const closed = counter('connections_closed', 'TCP connections closed.');
  const sent = counter('sent_bytes', 'Bytes from servers to clients.');
  const received = counter('received_bytes', 'Bytes from clients to servers.');
  return new SeriesBudget({
    ...bounds,
    create: (values) => ({
      used: true,
      evicted: false,
      opened: opened.of(...values),
      closed: closed.of(...values),
      sent: sent.of(...values),
      received: received.of(...values),
    }),
    release: (values) => {
      for (const family of [opened, closed, sent, received]) family.remove(...values);
    },
  });
}

/** Finds the series of a request by comparing with those of the one before: most requests of a connection are alike. */
class HttpEdge implements HttpEdgeMetrics {
  readonly #values: readonly string[];
  readonly #policy: string;
  readonly #budget: SeriesBudget<HttpSeries>;
  readonly #messageBudget: SeriesBudget<MessageSeries>;
  #series: HttpSeries | undefined;
  #messages: MessageSeries | undefined;
  #status = -1;
  #flags = '';
  #grpcStatus = '';
  #protocol = '';

  constructor(edge: Edge, budget: SeriesBudget<HttpSeries>, messageBudget: SeriesBudget<MessageSeries>) {
    this.#values = edgeValues(edge);
    this.#policy = securityPolicy(edge);
    this.#budget = budget;
    this.#messageBudget = messageBudget;
  }

  count(sample: RequestSample): void {
    let series = this.#series;
    if (
      series === undefined ||
      series.evicted ||
      sample.status !== this.#status ||
      sample.flags !== this.#flags ||
      sample.grpcStatus !== this.#grpcStatus ||
      sample.protocol !== this.#protocol
    ) {
      series = this.#open(sample);
    }
    series.used = true;
    series.requests.add(1);
    series.duration.observe(sample.duration);
    series.requestBytes.observe(sample.requestBytes);
    series.responseBytes.observe(sample.responseBytes);
  }

  countMessages(requests: number, responses: number): void {
    if (this.#messages === undefined || this.#messages.evicted) this.#messages = this.#messageBudget.open(this.#values);
    this.#messages.used = true;
    this.#messages.requests.add(requests);
    this.#messages.responses.add(responses);
  }

  #open({ protocol, status, grpcStatus, flags }: RequestSample): HttpSeries {
    this.#protocol = protocol;
    this.#status = status;
    this.#flags = flags;
    this.#grpcStatus = grpcStatus;
    this.#series = this.#budget.open([...this.#values, protocol, `${status}`, grpcStatus, flags, this.#policy]);
    return this.#series;
  }
}

class TcpEdge implements TcpEdgeMetrics {
  readonly #values: readonly string[];
  readonly #policy: string;
  readonly #budget: SeriesBudget<TcpSeries>;
  #series: TcpSeries | undefined;
  #flags = '';

  constructor(edge: Edge, budget: SeriesBudget<TcpSeries>) {
    this.#values = edgeValues(edge);
    this.#policy = securityPolicy(edge);
    this.#budget = budget;
  }

  opened(flags: string): void {
    this.#with(flags).opened.add(1);
  }

  transferred(flags: string, sent: number, received: number): void {
    const series = this.#with(flags);
    series.sent.add(sent);
    series.received.add(received);
  }

  closed(flags: string): void {
    this.#with(flags).closed.add(1);
  }

  #with(flags: string): TcpSeries {
    if (this.#series === undefined || this.#series.evicted || flags !== this.#flags) {
      this.#flags = flags;
      this.#series = this.#budget.open([...this.#values, 'tcp', flags, this.#policy]);
    }
    this.#series.used = true;
    return this.#series;
  }
}
