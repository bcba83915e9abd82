import type { Clock } from '../../src/core/clock.ts';
import type { SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { RequestRecord } from '../http1/request-record.ts';
import type { TcpRelayResult } from '../tcp/relay.ts';
import { EMPTY_ENTRY, type AccessEntry } from './access-entry.ts';
import type { AccessLog } from './access-log.ts';
import { UNKNOWN_SERVICE, type Edge, type ReportedService } from './edge.ts';
import type { HttpEdgeMetrics, IstioMetrics, TcpEdgeMetrics } from './istio-metrics.ts';
import { UNKNOWN } from './labels.ts';
import { reportedWorkload, UNKNOWN_WORKLOAD } from './reported-workload.ts';
import { hasFailed, requestEntry } from './request-entry.ts';
import { tcpEnd } from './tcp-end.ts';
import type { TcpTally, Transfer } from './tcp-tally.ts';

/** Where the application's own connection came from and arrived. */
export interface Caller {
  /** `address:port`. */
  readonly remote: string;
  readonly local: string;
}

/** Where a call went. */
export interface Called {
  /** `outbound|<port>||<host>`. */
  readonly cluster: string;
  /** `address:port`. */
  readonly destination: string;
  readonly edge: Edge;
  readonly httpMetrics: HttpEdgeMetrics;
  readonly tcpMetrics: TcpEdgeMetrics;
}

/** A destination that was not called. */
export interface NotCalled {
  readonly service: ReportedService;
  /** Envoy's name of it; empty where nothing is known. */
  readonly cluster: string;
  /** Why, where that is the upstream's affair. */
  readonly reason: string;
}

export interface OutboundReporterOptions {
  readonly clock: Clock;
  readonly config: Pick<SidecarConfigSource, 'current'>;
  readonly istio: IstioMetrics;
  readonly tally: TcpTally;
  readonly accessLog: AccessLog;
}

/** Hosts as label values are cut at the longest DNS name. */
const MAX_HOST = 253;

/** Reports what the application calls, as `reporter="source"`: metrics and access log. */
export class OutboundReporter {
  readonly #options: OutboundReporterOptions;

  constructor(options: OutboundReporterOptions) {
    this.#options = options;
  }

  request(record: RequestRecord, caller: Caller, called: Called): void {
    const { accessLog, clock } = this.#options;
    called.httpMetrics.count(sampleOf(record));
    if (accessLog.wants({ failed: hasFailed(record) })) {
      accessLog.write(withPlaces(requestEntry(record, clock.now()), caller, called));
    }
  }

  /**
   * A request that nobody was called for; the host of its metrics is what was asked for, unless `service` says.
   *
   * @param refused what is known of the destination; undefined where nobody was asked for it
   */
  refused(record: RequestRecord, caller: Caller, refused: NotCalled | undefined): void {
    const { service = UNKNOWN_SERVICE, cluster = '', reason = '' } = refused ?? {};
    const { istio, accessLog, clock } = this.#options;
    const authority = (record.request?.authority ?? '').toLowerCase().slice(0, MAX_HOST);
    const host = service.host === UNKNOWN && authority !== '' ? authority : service.host;
    const name = service.name === UNKNOWN ? host : service.name;
    istio.http(this.#unknownEdge({ ...service, host, name })).count(sampleOf(record));
    if (accessLog.wants({ failed: true })) {
      const entry = requestEntry(record, clock.now());
      const upstream = { upstreamCluster: cluster, upstreamTransportFailureReason: reason };
      accessLog.write(withPlaces({ ...entry, ...upstream }, caller, undefined));
    }
  }

  /** The function returned says that the connection was closed. */
  tcpOpened(caller: Caller, called: Called, transfer: Transfer): (result: TcpRelayResult) => void {
    const { tally, accessLog, clock } = this.#options;
    const since = clock.now();
    const closed = tally.opened(called.tcpMetrics, transfer);
    return (result) => {
      closed(result, result.flags);
      if (!accessLog.wants({ failed: result.reason !== '' })) return;
      const { received, sent } = result;
      const entry = {
        ...EMPTY_ENTRY,
        startTime: since,
        duration: clock.now() - since,
        bytesReceived: received,
        bytesSent: sent,
        ...tcpEnd(result),
      };
      accessLog.write(withPlaces(entry, caller, called));
    };
  }

  /** An opaque connection that led nowhere. */
  tcpRefused(
    caller: Caller,
    {
      flags,
      reason,
      called,
      service,
      cluster = '',
    }: {
      readonly flags: string;
      readonly reason: string;
      readonly called: Called | undefined;
      readonly service: ReportedService;
      readonly cluster?: string;
    },
  ): void {
    const { istio, accessLog, clock } = this.#options;
    const metrics = called?.tcpMetrics ?? istio.tcp(this.#unknownEdge(service));
    metrics.opened(flags);
    metrics.closed(flags);
    if (!accessLog.wants({ failed: true })) return;
    const entry = {
      ...EMPTY_ENTRY,
      startTime: clock.now(),
      responseFlags: flags,
      upstreamTransportFailureReason: reason,
      upstreamCluster: cluster,
    };
    accessLog.write(withPlaces(entry, caller, called));
  }

  #unknownEdge(service: ReportedService): Edge {
    const own = this.#options.config.current()?.workload;
    return {
      reporter: 'source',
      source: own === undefined ? UNKNOWN_WORKLOAD : reportedWorkload(own),
      sourcePrincipal: undefined,
      destination: UNKNOWN_WORKLOAD,
      destinationPrincipal: undefined,
      service,
    };
  }
}

function sampleOf(record: RequestRecord): Parameters<HttpEdgeMetrics['count']>[0] {
  return {
    protocol: 'http',
    grpcStatus: '',
    status: record.status,
    flags: record.flags,
    duration: record.duration,
    requestBytes: record.requestBodyBytes,
    responseBytes: record.responseBodyBytes,
  };
}

function withPlaces(entry: AccessEntry, caller: Caller, called: Called | undefined): AccessEntry {
  const named = called === undefined ? {} : { upstreamCluster: called.cluster, routeName: 'default' };
  return {
    ...entry,
    ...named,
    downstreamLocalAddress: caller.local,
    downstreamRemoteAddress: caller.remote,
    upstreamHost: entry.upstreamHost === '' ? (called?.destination ?? '') : entry.upstreamHost,
    sourcePrincipal: called?.edge.sourcePrincipal ?? '',
    destinationPrincipal: called?.edge.destinationPrincipal ?? '',
  };
}
