import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import type { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import { limitLines, type LimitedLines } from '../src/observe/limit-lines.ts';
import type { Metrics } from '../src/observe/metrics.ts';
import type { AddressBook } from './agent/destination.ts';
import type { SidecarConfig, SidecarConfigSource } from './agent/sidecar-config.ts';
import { normalizeTarget } from './authorize/normalize-target.ts';
import type { KeySets } from './authorize/tokens/key-sets.ts';
import { createTokenStep } from './authorize/tokens/token-step.ts';
import { createCheckMetrics } from './authorize/custom/check-metrics.ts';
import { createProviderStep, type ProviderStep } from './authorize/custom/custom-step.ts';
import { createPolicyAuthorizer } from './authorize/policy-authorizer.ts';
import { createPolicyWatch } from './authorize/policy-watch.ts';
import type { DecisionLog } from './decisions/decision-log.ts';
import { createHttpEngine } from './http1/http-engine.ts';
import { RequestIds } from './http1/request-ids.ts';
import { HandshakeGate, shareOfHandshakes } from './inbound/handshake-gate.ts';
import { InboundSide } from './inbound-side.ts';
import { Allowance } from './inbound/allowance.ts';
import type { InboundServices } from './inbound/inbound-services.ts';
import type { IdentitySource } from './agent/identity-source.ts';
import type { Interception } from './intercept/interception.ts';
import type { Place } from './listen/listener-set.ts';
import type { Endpoint } from './outbound/endpoint.ts';
import { OutboundSide } from './outbound-side.ts';
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
import { idleLimit } from './tcp/idle-limit.ts';
import { exposeClusters } from './upstream/cluster-metrics.ts';
import { UpstreamClusters } from './upstream/upstream-clusters.ts';
import { UpstreamPools } from './upstream/upstream-pools.ts';
import type { SharedSidecar } from './shared-sidecar.ts';
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

/**
 * The data plane of one workload: listeners for others and for the application, kept as the configuration asks for.
 * Everything that it needs of the world is given to it.
 */
export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #deadlines: Deadlines;
  readonly #tally: TcpTally;
  readonly #providers: ProviderStep;
  /** For lines that peers can cause. */
  readonly #limitedLog: LimitedLines;
  readonly #clusters: UpstreamClusters<Endpoint>;
  readonly #applications: UpstreamPools;
  readonly #inbound: InboundSide;
  readonly #outbound: OutboundSide;
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
    const { interception, shared } = options;
    const engine = createHttpEngine({ clock, logger, deadlines: this.#deadlines, limits: times });
    const common = { clock, logger, config, engine, tcpIdle, interception, shared };
    this.#inbound = new InboundSide({
      ...common,
      services,
      applications: this.#applications,
      isOutbound: (address, port) => this.#outbound.has(address, port),
    });
    this.#outbound = new OutboundSide({
      ...common,
      book,
      router,
      reporter: new OutboundReporter({ clock, config, istio, tally: this.#tally, accessLog }),
      requestIds,
      found: (finding) => found('outbound', finding),
      proxy: options.proxy,
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
    return (direction === 'inbound' ? this.#inbound : this.#outbound).portOf(place);
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
    await this.#options.interception?.inForce;
    await Promise.all([this.#inbound.apply(config), this.#outbound.apply(config)]);
    // After the new configuration is in force, so that nothing slips in between by the old one.
    this.#inbound.recheck();
  }
}
