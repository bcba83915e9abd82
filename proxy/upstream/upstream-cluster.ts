import type { Random } from '../../src/core/backoff.ts';
import type { Clock } from '../../src/core/clock.ts';
import { DEFAULT_DESTINATION_POLICY, type DestinationPolicy } from '../../src/resources/destination-policy.ts';
import type { Deadlines } from '../tcp/deadlines.ts';
import { Balancer, type Member, type Picking } from './balancer.ts';
import { Circuit, DEFAULT_CIRCUIT_LIMITS } from './circuit.ts';
import type { ClusterCounts } from './cluster-counts.ts';
import { OutlierDetector } from './outlier-detector.ts';
import { UpstreamPool } from './pool.ts';
import { ClusterRetries, type Retries } from './retries.ts';
import type { UpstreamTransport } from './upstream-connection.ts';
import { UpstreamHost } from './upstream-host.ts';
import { DEFAULT_UPSTREAM_LIMITS, type UpstreamLimits } from './upstream-limits.ts';

export interface ClusterSurroundings {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly random: Random;
  /** How many threads call: each has its share of what may be open, rounded up; 1 where nothing is said. */
  readonly threads?: number | undefined;
}

/** How often another place than those tried is looked for by the balancer's own choice (Istio's five attempts). */
const CHOICES = 5;

/**
 * The endpoints of one destination: which of them is called, how much may be open to them, which are left out. It lives
 * for as long as anybody calls it, over all changes of its endpoints and of its policy: what is known of an endpoint stays
 * known, and a request that waits is not lost.
 */
export class UpstreamCluster<M extends Member> {
  readonly name: string;
  readonly circuit: Circuit;
  readonly #surroundings: ClusterSurroundings;
  readonly #balancer: Balancer<M>;
  readonly #outliers: OutlierDetector;
  readonly #retries: ClusterRetries;
  /** Makes the endpoints anew: set by whoever made them, where they hold by what may change. */
  refresh: (() => void) | undefined;
  /** Nobody keeps count of it any more: whoever has kept it is to ask for another. */
  forgotten = false;
  #hosts = new Map<string, UpstreamHost>();
  #members: readonly M[] = [];
  #byDestination: ReadonlyMap<string, M> = new Map();
  #policy: DestinationPolicy = DEFAULT_DESTINATION_POLICY;
  #picking: Picking = 'LEAST_REQUEST';
  #limits: UpstreamLimits = DEFAULT_UPSTREAM_LIMITS;

  constructor(name: string, counts: ClusterCounts, surroundings: ClusterSurroundings) {
    const { clock, random } = surroundings;
    this.name = name;
    this.circuit = new Circuit({}, counts);
    this.#surroundings = surroundings;
    this.#balancer = new Balancer(random);
    this.#outliers = new OutlierDetector({ clock, counts, onChange: () => this.#rebalance() });
    this.#retries = new ClusterRetries({
      circuit: this.circuit,
      clock,
      random,
      next: (tried) => this.#other(tried)?.host.pool,
      shareOf: (limit) => this.#shareOf(limit),
    });
  }

  /** Another array whenever the endpoints may be others. */
  get members(): readonly M[] {
    return this.#members;
  }

  get policy(): DestinationPolicy {
    return this.#policy;
  }

  get retries(): Retries {
    return this.#retries;
  }

  /** Those that calls may go to. */
  get healthy(): number {
    return this.#members.filter(({ host }) => !host.ejected).length;
  }

  get ejected(): number {
    return this.#outliers.ejected;
  }

  /** Whether nothing is open or waits, and nothing is known of an endpoint that another would have to find out. */
  get unused(): boolean {
    const { connections, active, retrying } = this.circuit;
    return connections === 0 && active === 0 && retrying === 0 && this.ejected === 0;
  }

  /**
   * Other endpoints from now on. What is idle at those that are gone is closed, who waits for them is sent elsewhere, and
   * what is under way ends as it would have.
   *
   * @param make makes them, given the host of each: the same as before for the same key, which says everything that makes
   * a connection fit for a call (address, peer, trust)
   */
  update(
    { policy, picking = policy.balancing }: { readonly policy: DestinationPolicy; readonly picking?: Picking },
    make: (hostOf: (key: string, transport: UpstreamTransport) => UpstreamHost) => readonly M[],
  ): void {
    this.#policy = policy;
    this.#picking = picking;
    this.#retries.policy = policy;
    this.#configure(policy);
    const before = this.#hosts;
    this.#hosts = new Map();
    this.#members = make((key, transport) => this.#host(key, transport, before));
    this.#byDestination = new Map(this.#members.map((member) => [member.destination, member]));
    this.#outliers.watch([...new Set(this.#members.map(({ host }) => host))], policy.outliers);
    this.#rebalance();
    for (const [key, host] of before) if (this.#hosts.get(key) !== host) host.pool.close();
  }

  pick(): M | undefined {
    const picked = this.#balancer.pick();
    if (picked === undefined) this.circuit.counts.upstream_cx_none_healthy += 1;
    return picked;
  }

  /** Another one than these, where there is one; else one of them; undefined where nobody may be called. */
  next(tried: readonly M[]): M | undefined {
    return this.#other(tried.map(({ host }) => host.pool));
  }

  /** The endpoint at `address:port`, for reports of where a request went in the end. */
  at(destination: string): M | undefined {
    return this.#byDestination.get(destination);
  }

  /** Closes what is idle and lends nothing again; exchanges under way end. */
  close(): void {
    this.refresh = undefined;
    this.update({ policy: this.#policy }, () => []);
    this.#outliers.close();
  }

  #other(tried: readonly UpstreamPool[]): M | undefined {
    for (let choice = 0; choice < CHOICES; choice += 1) {
      const picked = this.#balancer.pick();
      if (picked === undefined || !tried.includes(picked.host.pool)) return picked;
    }
    const untried = this.#members.find(({ host }) => !host.ejected && !tried.includes(host.pool));
    return untried ?? this.#balancer.pick();
  }

  #host(key: string, transport: UpstreamTransport, before: ReadonlyMap<string, UpstreamHost>): UpstreamHost {
    let host = this.#hosts.get(key) ?? before.get(key);
    if (host === undefined) {
      const { deadlines } = this.#surroundings;
      host = new UpstreamHost(new UpstreamPool({ transport, deadlines, limits: this.#limits, circuit: this.circuit }));
    } else {
      host.pool.configure(this.#limits);
    }
    this.#hosts.set(key, host);
    return host;
  }

  /** Where too few are healthy, all of them are called: leaving out most of them would end the rest. */
  #rebalance(): void {
    const healthy = this.#members.filter(({ host }) => !host.ejected);
    const least = this.#policy.outliers?.minHealthPercent ?? 0;
    const panic = healthy.length * 100 < least * this.#members.length;
    this.#balancer.set(panic ? this.#members : healthy, this.#picking);
  }

  #shareOf(limit: number): number {
    return Math.ceil(limit / (this.#surroundings.threads ?? 1));
  }

  #configure({ connections }: DestinationPolicy): void {
    const { maxConnections, maxPending, maxActive } = DEFAULT_CIRCUIT_LIMITS;
    this.circuit.limits = {
      maxConnections: this.#shareOf(connections.maxConnections ?? maxConnections),
      maxPending: this.#shareOf(connections.maxPendingRequests ?? maxPending),
      maxActive: this.#shareOf(connections.maxRequests ?? maxActive),
    };
    const { maxRequests, connectTimeout, idleTimeout, maxAge, keepAliveTime } = DEFAULT_UPSTREAM_LIMITS;
    this.#limits = Object.freeze({
      maxRequests: connections.maxRequestsPerConnection ?? maxRequests,
      connectTimeout: connections.connectTimeout ?? connectTimeout,
      idleTimeout: connections.httpIdleTimeout ?? idleTimeout,
      maxAge: connections.maxConnectionDuration ?? maxAge,
      keepAliveTime: connections.keepAliveTime ?? keepAliveTime,
    });
  }
}
