import type { ListenOptions, OnReadOpts } from 'node:net';
import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import type { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import { limitLines, type LimitedLines } from '../src/observe/limit-lines.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import type { AddressBook } from './agent/destination.ts';
import type {
  InboundListenerConfig,
  OutboundListenerConfig,
  SidecarConfig,
  SidecarConfigSource,
} from './agent/sidecar-config.ts';
import { normalizeTarget } from './authorize/normalize-target.ts';
import type { KeySets } from './authorize/tokens/key-sets.ts';
import { createTokenStep } from './authorize/tokens/token-step.ts';
import { createCheckMetrics } from './authorize/custom/check-metrics.ts';
import { createProviderStep, type ProviderStep } from './authorize/custom/custom-step.ts';
import { createPolicyAuthorizer } from './authorize/policy-authorizer.ts';
import { createPolicyWatch } from './authorize/policy-watch.ts';
import { CapturedInbound } from './captured-inbound.ts';
import { captureOutbound } from './captured-outbound.ts';
import type { DecisionLog } from './decisions/decision-log.ts';
import { createHttpEngine, type HttpEngine } from './http1/http-engine.ts';
import { RequestIds } from './http1/request-ids.ts';
import { HandshakeGate, shareOfHandshakes } from './inbound/handshake-gate.ts';
import { Allowance } from './inbound/allowance.ts';
import { InboundListener } from './inbound/inbound-listener.ts';
import type { InboundPort, InboundServices } from './inbound/inbound-services.ts';
import type { IdentitySource } from './inbound/identity-source.ts';
import { holdForProcess, type HoldPlace } from './listen/hold-place.ts';
import type { Interception } from './intercept/interception.ts';
import { keyOf, ListenerSet, type Listening, type Place } from './listen/listener-set.ts';
import { egressPort, proxyPort, type Lead, type OutboundPort } from './outbound/outbound-port.ts';
import type { Endpoint } from './outbound/endpoint.ts';
import { OutboundListener } from './outbound/outbound-listener.ts';
import { Router } from './outbound/router.ts';
import type { Lookup } from './outbound/lookup-cache.ts';
import type { AccessLog } from './report/access-log.ts';
import { InboundReporter } from './report/inbound-reporter.ts';
import { createIstioMetrics } from './report/istio-metrics.ts';
import { OutboundReporter } from './report/outbound-reporter.ts';
import { createDetectionMetrics } from './report/detection-metrics.ts';
import { createTlsMetrics } from './report/tls-metrics.ts';
import { TcpTally } from './report/tcp-tally.ts';
import { Deadlines } from './tcp/deadlines.ts';
import { idleLimit, type IdleLimit } from './tcp/idle-limit.ts';
import { exposeClusters } from './upstream/cluster-metrics.ts';
import { UpstreamClusters } from './upstream/upstream-clusters.ts';
import { UpstreamPools } from './upstream/upstream-pools.ts';
import { applicationTransport } from './upstream/application-transport.ts';
import { createPeerVerifier } from './verify-peer.ts';

/** What others may take at a time, and how long; see the settings of the same names. Defaults where nothing is said. */
export interface SidecarLimits {
  readonly maxConnections: number;
  readonly headTimeout: number;
  readonly clientTimeout: number;
  readonly tcpIdleTimeout: number;
}

/** Envoy's, and so Istio's. */
const TCP_IDLE_TIMEOUT = 3_600_000;

export interface SidecarOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly config: SidecarConfigSource;
  readonly identity: IdentitySource;
  readonly book: AddressBook;
  /** The keys that tokens are verified by. */
  readonly keySets: KeySets;
  readonly accessLog: AccessLog;
  /** Keeps what policy decided of requests; without it nothing is kept. */
  readonly decisions?: DecisionLog | undefined;
  readonly limits?: SidecarLimits | undefined;
  readonly randomBytes: (size: number) => Buffer;
  /** Spreads calls over endpoints. */
  readonly random: Random;
  /** Resolves names outside the mesh. */
  readonly lookup: Lookup;
  /** Where the HTTP proxy port is; without a host at the configuration's local address. */
  readonly proxy: { readonly host: string | undefined; readonly port: number };
  /** Where connections are intercepted; then there is no HTTP proxy port, and only what is bound has listeners. */
  readonly interception?: Interception | undefined;
  /** The same for several threads, each of which has a data plane of its own; without it there is one. */
  readonly shared?: SharedSidecar | undefined;
}

/** What threads that carry the traffic of one workload have between them. */
export interface SharedSidecar {
  /** How many there are. */
  readonly threads: number;
  readonly hold: HoldPlace;
  /** Whether this is the one that listens where only one can: at Unix sockets. */
  readonly listensAlone: boolean;
  /** Connections of others at a time. */
  readonly connections: Allowance;
  /** Listeners were opened or could not be. */
  readonly onListeners: () => void;
}

/** A listener of the configuration, or where all connections are brought to. */
type InboundPlace = InboundListenerConfig | (Place & { readonly captures: true });
/** An egress listener, or the HTTP proxy port; without `leads` where all connections are brought to. */
type OutboundPlace = Place & { readonly leads?: OutboundPort };

/**
 * The data plane of one workload: listeners for others and for the application, kept as the configuration asks for.
 * Everything that it needs of the world is given to it.
 */
export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #deadlines: Deadlines;
  readonly #engine: HttpEngine;
  readonly #tally: TcpTally;
  readonly #tcpIdle: IdleLimit | undefined;
  readonly #providers: ProviderStep;
  /** For lines that peers can cause. */
  readonly #limitedLog: LimitedLines;
  readonly #clusters: UpstreamClusters<Endpoint>;
  readonly #applications: UpstreamPools;
  readonly #captured: CapturedInbound | undefined;
  readonly #inbound: ListenerSet<InboundPlace>;
  readonly #outbound: ListenerSet<OutboundPlace>;
  readonly #inboundListeners = new Set<InboundListener>();
  readonly #ports = new WeakMap<InboundListenerConfig, InboundPort>();
  readonly #egress = new WeakMap<OutboundListenerConfig, OutboundPort>();
  #proxyPort: { readonly hosts: SidecarConfig['outboundHosts']; readonly leads: OutboundPort } | undefined;
  #applied: Promise<void>;
  #stopListening: () => void;
  #draining = false;

  constructor(options: SidecarOptions) {
    this.#options = options;
    const { clock, logger, config, identity, book, metrics, accessLog, decisions, lookup } = options;
    const requestIds = new RequestIds(options.randomBytes);
    this.#deadlines = new Deadlines(clock);
    const { limits } = options;
    const times = limits === undefined ? {} : { headTimeout: limits.headTimeout, clientTimeout: limits.clientTimeout };
    this.#engine = createHttpEngine({ clock, logger, deadlines: this.#deadlines, limits: times });
    this.#tally = new TcpTally(clock);
    const { random } = options;
    const threads = options.shared?.threads ?? 1;
    this.#clusters = new UpstreamClusters({ clock, deadlines: this.#deadlines, random, threads });
    exposeClusters(metrics, this.#clusters);
    this.#applications = new UpstreamPools(this.#deadlines);
    const istio = createIstioMetrics({ metrics });
    const tls = createTlsMetrics(metrics);
    const found = createDetectionMetrics(metrics);
    const tcpIdle = idleLimit(this.#deadlines, limits?.tcpIdleTimeout ?? TCP_IDLE_TIMEOUT);
    this.#tcpIdle = tcpIdle;
    const peers = createPeerVerifier(config, clock);
    const router = new Router({
      clock,
      config,
      identity,
      book,
      clusters: this.#clusters,
      verifyPeer: peers.verify,
      lookup,
      istio,
      isOwn: (address, port) => this.#outbound.has(address, port),
      onSecured: (secured) => tls.secured('source', secured),
      onRefused: (words) => tls.failed('source', words),
    });
    this.#providers = createProviderStep({ router, clock, logger, metrics: createCheckMetrics(metrics) });
    const tokens = createTokenStep({ keys: options.keySets, clock });
    this.#limitedLog = limitLines({ logger, clock, sharedBy: threads });
    const authorizer = createPolicyAuthorizer({
      config,
      custom: this.#providers,
      tokens,
      decisions,
      watch: createPolicyWatch({ metrics, logger: this.#limitedLog.logger }),
      logger,
    });
    const services: Omit<InboundServices, 'route'> = {
      authorizer: (facts) => authorizer.forConnection(facts),
      // Without a configuration nothing is let in, and so no path is judged.
      normalizePath: (path) => normalizeTarget(path, config.current()?.mesh.pathNormalization ?? 'BASE'),
      requestIds,
      verifyPeer: peers.verify,
      peerRefused: ({ peerCertificate }) =>
        peerCertificate === undefined ? undefined : peers.refused(peerCertificate),
      identity,
      unreadRefused: () => {
        const current = config.current();
        const rules = current === undefined ? undefined : tokens.rulesOf(current);
        return rules === undefined ? undefined : 'HTTP/2 is not read, and its tokens are to be verified';
      },
      handshakes: new HandshakeGate(clock, shareOfHandshakes(threads)),
      connections: options.shared?.connections ?? new Allowance(limits?.maxConnections ?? 0),
      observer: new InboundReporter({
        clock,
        config,
        book,
        istio,
        tally: this.#tally,
        accessLog,
        decisions,
        metrics,
        tls,
        found,
      }),
    };
    const hold = options.shared?.hold ?? holdForProcess;
    const onChange = options.shared?.onListeners;
    const reusePort = options.shared !== undefined;
    const { interception } = options;
    if (interception !== undefined) {
      this.#captured = new CapturedInbound({
        interception,
        config,
        applications: this.#applications,
        isOwn: (address, port) => this.#isOwn(address, port),
      });
    }
    this.#inbound = new ListenerSet({
      name: 'inbound',
      hold,
      onChange,
      clock,
      logger,
      create: (key, place) => this.#createInbound(key, place, services),
    });
    const reporter = new OutboundReporter({ clock, config, istio, tally: this.#tally, accessLog });
    this.#outbound = new ListenerSet({
      name: 'outbound',
      hold,
      onChange,
      clock,
      logger,
      create: (key, { address, leads }) => {
        const named: Lead = { port: () => this.#outbound.wanted(key)?.leads };
        const captured =
          leads === undefined && interception !== undefined
            ? captureOutbound({ destinations: interception.destinations, config, book })
            : undefined;
        const engine = this.#engine;
        const lead = captured ?? (() => named);
        const listener = new OutboundListener({
          clock,
          engine,
          router,
          reporter,
          requestIds,
          lead,
          found: (finding) => found('outbound', finding),
          tcpIdle,
        });
        return listeningOutbound(listener, address, reusePort);
      },
    });
    this.#stopListening = config.onChange((next) => {
      this.#applied = this.#apply(next);
    });
    const current = config.current();
    this.#applied = current === undefined ? Promise.resolve() : this.#apply(current);
  }

  /** Resolves when the listeners of the configuration in force were opened, or could not be. */
  get applied(): Promise<void> {
    return this.#applied;
  }

  /** Listeners that could not be opened. */
  get problems(): readonly SealwrightError[] {
    return [...this.#inbound.problems, ...this.#outbound.problems];
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Open connections, each way. */
  get open(): { readonly inbound: number; readonly outbound: number } {
    return { inbound: this.#inbound.open, outbound: this.#outbound.open };
  }

  /** Where it really listens for a place that was asked for, which matters where port 0 was. */
  portOf(direction: 'inbound' | 'outbound', place: Place): number | undefined {
    return (direction === 'inbound' ? this.#inbound : this.#outbound).portOf(keyOf(place));
  }

  /**
   * Accepts no more from others: requests under way are answered with `connection: close`. The application's own calls
   * go on. Resolves when no inbound listener is open; connections may be.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#inbound.retire();
  }

  /** Breaks what others still have open. */
  async endInbound(): Promise<void> {
    await this.#inbound.close();
  }

  /** Ends everything, inbound first. */
  async close(): Promise<void> {
    this.#stopListening();
    this.#options.interception?.close();
    await this.#inbound.close();
    await this.#outbound.close();
    this.#providers.close();
    this.#clusters.close();
    this.#applications.renew();
    this.#tally.close();
    this.#limitedLog.close();
    this.#deadlines.close();
    this.#options.accessLog.close();
  }

  async #apply(config: SidecarConfig): Promise<void> {
    const { interception } = this.#options;
    await interception?.inForce;
    const inbound: readonly InboundPlace[] =
      interception === undefined
        ? config.inbound
        : [...interception.inbound.map(captures), ...config.inbound.filter(({ bound }) => bound === true)];
    await Promise.all([this.#inbound.apply(inbound), this.#outbound.apply(this.#outboundPlaces(config))]);
    // After the new configuration is in force, so that nothing slips in between by the old one.
    for (const listener of this.#inboundListeners) listener.recheck();
  }

  #outboundPlaces({ outbound, outboundHosts, localAddress }: SidecarConfig): OutboundPlace[] {
    const { proxy, shared, interception } = this.#options;
    const { host = localAddress, port } = proxy;
    const own = outbound.filter(
      ({ address, bound }) =>
        (interception === undefined || bound === true) && (shared?.listensAlone !== false || !isUnix(address)),
    );
    if (this.#proxyPort?.hosts !== outboundHosts) {
      this.#proxyPort = { hosts: outboundHosts, leads: proxyPort(outboundHosts) };
    }
    const egress = own.map((listener): OutboundPlace => {
      let leads = this.#egress.get(listener);
      if (leads === undefined) {
        leads = egressPort(listener);
        this.#egress.set(listener, leads);
      }
      return { address: listener.address, port: listener.port, leads };
    });
    if (interception !== undefined) return [...egress, ...interception.outbound];
    return [...egress, { address: host, port, leads: this.#proxyPort.leads }];
  }

  #createInbound(key: string, place: InboundPlace, services: Omit<InboundServices, 'route'>): Listening {
    const { clock, interception, shared } = this.#options;
    const reusePort = shared !== undefined;
    const route = this.#routeAt(key, place);
    const listener = new InboundListener({
      clock,
      engine: this.#engine,
      services: { ...services, route },
      tcpIdle: this.#tcpIdle,
    });
    this.#inboundListeners.add(listener);
    const { address: host } = place;
    const where = (port: number): ListenOptions | { fd: number } => {
      if (!('captures' in place)) return { host, port, reusePort };
      const fd = interception?.openListener?.(place);
      return fd === undefined ? { host, port, reusePort, ipv6Only: host.includes(':') } : { fd };
    };
    return {
      listen: async (port) => (await listener.listen(where(port))).port,
      retire: () => {
        void listener.drain().then(() => this.#inboundListeners.delete(listener));
      },
      close: () => {
        this.#inboundListeners.delete(listener);
        return listener.close();
      },
      get open() {
        return listener.open;
      },
    };
  }

  #routeAt(key: string, place: InboundPlace): InboundServices['route'] {
    if ('captures' in place) return this.#captured?.route ?? (() => undefined);
    let last = place;
    return () => {
      const wanted = this.#inbound.wanted(key);
      const known = wanted === undefined || 'captures' in wanted ? undefined : wanted;
      // One that is retired serves what is open as it did, unless the mode has changed; it accepts nothing new.
      const mode = known?.mode ?? this.#options.config.current()?.mtlsMode(last.port) ?? 'STRICT';
      if (known !== undefined) last = known;
      else if (mode !== last.mode) last = Object.freeze({ ...last, mode });
      return this.#inboundPort(last);
    };
  }

  #isOwn(address: string, port: number): boolean {
    return this.#inbound.has(address, port) || this.#outbound.has(address, port);
  }

  #inboundPort(config: InboundListenerConfig): InboundPort | undefined {
    const { endpoint } = config;
    // An endpoint that leads back to where others come in would never end, and one where the application goes out
    // would let others speak with our identity.
    if (endpoint.kind === 'tcp' && this.#isOwn(endpoint.host, endpoint.port)) return undefined;
    let port = this.#ports.get(config);
    if (port === undefined) {
      const transport = this.#options.interception?.toApplication(endpoint, '') ?? applicationTransport(endpoint);
      port = Object.freeze({
        mode: config.mode,
        protocol: config.protocol,
        address: config.address,
        port: config.port,
        upstream: this.#applications.get(transport.destination, transport),
        connect: (onread?: OnReadOpts) => transport.connect(onread),
      });
      this.#ports.set(config, port);
    }
    return port;
  }
}

const UNIX = 'unix://';

function isUnix(address: string): boolean {
  return address.startsWith(UNIX);
}

function captures(place: Place): InboundPlace {
  return { ...place, captures: true };
}

function listeningOutbound(listener: OutboundListener, address: string, reusePort: boolean): Listening {
  const path = isUnix(address) ? address.slice(UNIX.length) : undefined;
  return {
    listen: (port) => listener.listen(path === undefined ? { host: address, port, reusePort } : { path }),
    retire: () => listener.stop(),
    close: () => listener.close(),
    get open() {
      return listener.open;
    },
  };
}
