import type { Clock } from '../../src/core/clock.ts';
import type { Count, CounterFamily, Metrics } from '../../src/observe/metrics.ts';
import type { AddressBook, Workload } from '../agent/destination.ts';
import type { SidecarConfig, SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { DecisionLog } from '../decisions/decision-log.ts';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { RequestRecord } from '../http1/request-record.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import type { Finding } from '../inbound/finding.ts';
import type { InboundObserver } from '../inbound/inbound-services.ts';
import type { TcpRelayResult } from '../tcp/relay.ts';
import type { Secured } from '../upstream/secured.ts';
import { EMPTY_ENTRY, type AccessEntry } from './access-entry.ts';
import type { AccessLog } from './access-log.ts';
import type { CountFinding } from './detection-metrics.ts';
import { reportedService, UNKNOWN_SERVICE, type Edge, type ReportedService } from './edge.ts';
import { createWorkloadFinder, nameInboundPeer, type FindWorkload } from './inbound-peer.ts';
import type { HttpEdgeMetrics, IstioMetrics } from './istio-metrics.ts';
import { METADATA_FIELD, METADATA_FIELDS, metadataLines } from './peer-metadata.ts';
import { reportedWorkload, UNKNOWN_WORKLOAD } from './reported-workload.ts';
import { hasFailed, hostPort, requestEntry } from './request-entry.ts';
import type { TlsMetrics } from './tls-metrics.ts';
import { tcpEnd } from './tcp-end.ts';
import type { TcpTally, Transfer } from './tcp-tally.ts';

export interface InboundReporterOptions {
  readonly clock: Clock;
  readonly config: Pick<SidecarConfigSource, 'current'>;
  readonly book: AddressBook;
  readonly istio: IstioMetrics;
  readonly tally: TcpTally;
  readonly accessLog: AccessLog;
  /** Says why a request was denied. */
  readonly decisions?: Pick<DecisionLog, 'denial' | 'refusalOf'> | undefined;
  readonly metrics: Metrics;
  readonly tls: TlsMetrics;
  readonly found: CountFinding;
}

/** What is kept of one connection for its reports. */
interface Reported {
  /** Of the configuration that the names were made from. */
  revision: number;
  /** What the peer said of itself in its first request. */
  metadata: string | undefined;
  /** Wall milliseconds of the first report. */
  readonly since: number;
  http: HttpEdgeMetrics | undefined;
  closed: ((final: Transfer, flags?: string) => void) | undefined;
}

/** How details begin of what policies, providers and token rules refuse. */
const JUDGED = [
  'rbac_access_denied',
  'ext_authz_',
  'jwt_authn_access_denied',
  'authorization_step_failed',
  'policies_changed_too_often',
];

/** Reports what arrives, as `reporter="destination"`: metrics and access log. */
export class InboundReporter implements InboundObserver {
  readonly #options: InboundReporterOptions;
  readonly #workloadAt: FindWorkload;
  readonly #connections = new WeakMap<ConnectionFacts, Reported>();
  readonly #refusals: CounterFamily;
  readonly #serverFirst: Count;
  #metadataOf: { readonly workload: Workload; readonly edits: HeadEdits } | undefined;

  constructor(options: InboundReporterOptions) {
    this.#options = options;
    this.#workloadAt = createWorkloadFinder(options.book);
    const { metrics } = options;
    this.#refusals = metrics.counter(
      'sealwright_inbound_refused_total',
      'Connections refused before they were served.',
      ['reason'],
    );
    const help = 'Connections on which the client waited for the server to speak; protocol: tcp saves the wait.';
    this.#serverFirst = metrics.counter('sealwright_inbound_server_first_total', help).of();
  }

  /** Takes note of what the peer says of itself; a peer that says it is told the same of us. */
  onHead(head: RequestHead, facts: ConnectionFacts): HeadEdits | undefined {
    if (facts.peer === undefined) return undefined;
    const metadata = head.get(METADATA_FIELD);
    if (metadata === undefined) return undefined;
    const reported = this.#reportedOf(facts);
    if (reported.metadata === undefined) {
      reported.metadata = metadata;
      reported.http = undefined;
    }
    const workload = this.#options.config.current()?.workload;
    if (workload === undefined) return undefined;
    if (this.#metadataOf?.workload !== workload) {
      // The application's own claims would be taken for ours.
      this.#metadataOf = { workload, edits: Object.freeze({ strip: METADATA_FIELDS, add: metadataLines(workload) }) };
    }
    return this.#metadataOf.edits;
  }

  onRequest(record: RequestRecord, facts: ConnectionFacts): void {
    const reported = this.#reportedOf(facts);
    const current = this.#options.config.current();
    if (reported.http === undefined || reported.revision !== current?.revision) {
      reported.revision = current?.revision ?? 0;
      reported.http = this.#options.istio.http(this.#edge(facts, current, reported.metadata));
    }
    reported.http.count({
      protocol: 'http',
      grpcStatus: '',
      status: record.status,
      flags: record.flags,
      duration: record.duration,
      requestBytes: record.requestBodyBytes,
      responseBytes: record.responseBodyBytes,
    });
    const { accessLog, clock } = this.#options;
    if (!accessLog.wants({ failed: hasFailed(record) })) return;
    const entry = requestEntry(record, clock.now());
    const denied = JUDGED.some((start) => record.detail.startsWith(start));
    const denial = denied ? (this.#options.decisions?.denial(entry.requestId) ?? '') : '';
    accessLog.write(withConnection({ ...entry, denial }, facts));
  }

  onTcpOpened(facts: ConnectionFacts, transfer: Transfer): void {
    const edge = this.#edge(facts, this.#options.config.current(), undefined);
    this.#reportedOf(facts).closed = this.#options.tally.opened(this.#options.istio.tcp(edge), transfer);
  }

  onTcpClosed(facts: ConnectionFacts, result: TcpRelayResult): void {
    const { since, closed } = this.#reportedOf(facts);
    closed?.(result, result.flags);
    const { accessLog, clock } = this.#options;
    if (!accessLog.wants({ failed: result.reason !== '' })) return;
    accessLog.write(
      withConnection(
        {
          ...EMPTY_ENTRY,
          startTime: since,
          duration: clock.now() - since,
          bytesReceived: result.received,
          bytesSent: result.sent,
          ...tcpEnd(result),
          ...this.#refusalOf(facts),
        },
        facts,
      ),
    );
  }

  onRefused(facts: ConnectionFacts, reason: string): void {
    const kind = refusalKind(reason);
    this.#refusals.of(kind).add();
    if (kind === 'tls' || kind === 'plaintext') this.#options.tls.failed('destination', reason);
    const { accessLog, clock, config, istio } = this.#options;
    if (kind === 'policy') {
      // As ztunnel counts what policy refuses: the edge is there, and marked.
      const tcp = istio.tcp(this.#edge(facts, config.current(), undefined));
      tcp.opened('DENY');
      tcp.closed('DENY');
    }
    if (!accessLog.wants({ failed: true })) return;
    // As Envoy flags what a provider refused (`UAEX`).
    const responseFlags = reason.startsWith('ext_authz_') ? 'UAEX' : '-';
    const entry = { ...EMPTY_ENTRY, startTime: clock.now(), responseFlags, connectionTerminationDetails: reason };
    accessLog.write(withConnection({ ...entry, ...this.#refusalOf(facts) }, facts));
  }

  /** Of a connection that policy refused: what it was noted by, and why. */
  #refusalOf(facts: ConnectionFacts): Partial<AccessEntry> {
    const refused = this.#options.decisions?.refusalOf(facts);
    return refused === undefined ? {} : { requestId: refused.id, denial: refused.denial ?? '' };
  }

  onSecured(secured: Omit<Secured, 'group'>): void {
    this.#options.tls.secured('destination', secured);
  }

  onFound(finding: Finding): void {
    this.#options.found('inbound', finding);
  }

  onServerFirst(): void {
    this.#serverFirst.add();
  }

  #reportedOf(facts: ConnectionFacts): Reported {
    let reported = this.#connections.get(facts);
    if (reported === undefined) {
      reported = {
        since: this.#options.clock.now(),
        revision: 0,
        metadata: undefined,
        http: undefined,
        closed: undefined,
      };
      this.#connections.set(facts, reported);
    }
    return reported;
  }

  #edge(facts: ConnectionFacts, config: SidecarConfig | undefined, metadata: string | undefined): Edge {
    const own = config?.workload;
    return {
      reporter: 'destination',
      source: nameInboundPeer(facts, { workloadAt: this.#workloadAt, metadata }),
      sourcePrincipal: facts.peer,
      destination: own === undefined ? UNKNOWN_WORKLOAD : reportedWorkload(own),
      destinationPrincipal: facts.self,
      service: own === undefined ? UNKNOWN_SERVICE : serviceBehind(own, facts.destinationPort),
    };
  }
}

/**
 * The service that a port of a workload stands for: the first by name where there are several, since the host that a
 * caller names is its own choice (Istio's host header fallback is off inbound for the same reason).
 */
function serviceBehind(workload: Workload, port: number): ReportedService {
  let known = servicesBehind.get(workload);
  if (known === undefined) servicesBehind.set(workload, (known = new Map()));
  let service = known.get(port);
  if (service === undefined) known.set(port, (service = findServiceBehind(workload, port)));
  return service;
}

/** By port, for the workload of each configuration: every connection asks. */
const servicesBehind = new WeakMap<Workload, Map<number, ReportedService>>();

function findServiceBehind({ services }: Workload, port: number): ReportedService {
  const keys = [...services].filter(([, ports]) => [...ports.values()].includes(port)).map(([key]) => key);
  const [first] = keys.toSorted();
  if (first === undefined) return UNKNOWN_SERVICE;
  const slash = first.indexOf('/');
  return reportedService(first.slice(0, slash), first.slice(slash + 1));
}

function withConnection(entry: AccessEntry, facts: ConnectionFacts): AccessEntry {
  return {
    ...entry,
    upstreamCluster: `inbound|${facts.destinationPort}||`,
    downstreamLocalAddress: hostPort(facts.destinationAddress, facts.destinationPort),
    downstreamRemoteAddress: hostPort(facts.remoteAddress, facts.remotePort),
    requestedServerName: facts.serverName,
    routeName: entry.method === '' ? '' : 'default',
    sourcePrincipal: facts.peer ?? '',
    destinationPrincipal: facts.self ?? '',
  };
}

/** What `proxy/authorize` refuses connections with: a verdict, a provider's answer, or that it could not be judged. */
const OF_POLICY =
  /^(?:rbac_access_denied|ext_authz_|authorization_step_failed|policies_changed_too_often|connection_facts_unreadable|decision_timeout)/;

/** Reasons hold what a peer sent; a label may not. */
function refusalKind(reason: string): string {
  if (OF_POLICY.test(reason)) return 'policy';
  if (reason.startsWith('plaintext')) return 'plaintext';
  if (reason.startsWith('too many')) return 'limit';
  if (reason.startsWith('HTTP/2')) return 'protocol';
  if (reason.startsWith('nothing is served')) return 'no_listener';
  if (reason === 'the client has gone' || reason.startsWith('downstream_remote_disconnect')) return 'client_gone';
  if (reason.startsWith('no_configuration') || reason.startsWith('there is no certificate')) return 'not_ready';
  return 'tls';
}
