import type { Clock } from '../../src/core/clock.ts';
import { chooseTrafficPolicy } from '../../src/resources/choose-destination-rule.ts';
import {
  DEFAULT_DESTINATION_POLICY,
  destinationPolicyOf,
  type DestinationPolicy,
} from '../../src/resources/destination-policy.ts';
import type { AddressBook, Destination, DestinationName, Service, Workload } from '../agent/destination.ts';
import type { SidecarConfig, SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { IdentitySource, VerifyPeer } from '../inbound/identity-source.ts';
import { reportedService, UNKNOWN_SERVICE, type ReportedService } from '../report/edge.ts';
import type { IstioMetrics } from '../report/istio-metrics.ts';
import { metadataLines } from '../report/peer-metadata.ts';
import type { Secured } from '../upstream/secured.ts';
import type { UpstreamClusters } from '../upstream/upstream-clusters.ts';
import { createClientContext } from './client-context.ts';
import type { Cluster } from './cluster.ts';
import type { Endpoint } from './endpoint.ts';
import { EndpointFactory, type EndpointCluster } from './endpoints.ts';
import { LookupCache, type Lookup } from './lookup-cache.ts';
import { REFUSED, refuse, type Refused, type Route, type Target } from './route.ts';
import { wayTo } from './way.ts';

export interface RouterOptions {
  readonly clock: Clock;
  readonly config: SidecarConfigSource;
  readonly identity: IdentitySource;
  readonly book: AddressBook;
  readonly clusters: UpstreamClusters<Endpoint>;
  readonly verifyPeer: VerifyPeer;
  readonly lookup: Lookup;
  readonly isOwn: (address: string, port: number) => boolean;
  readonly istio: IstioMetrics;
  /** Hears of each new mTLS connection. */
  readonly onSecured?: ((secured: Secured) => void) | undefined;
  /** Hears why TLS to a peer came to nothing. */
  readonly onRefused?: ((words: string) => void) | undefined;
}

/** What was made from one configuration, and is made anew from the next. */
interface Generation {
  readonly config: SidecarConfig;
  readonly factory: EndpointFactory;
  readonly clusters: RouteCache<Destination>;
  /** By what was asked for, and by the addresses of it, which are another array once they are asked for again. */
  readonly named: WeakMap<Destination, RouteCache<readonly string[]>>;
}

/** Routes by what they were made of and by port. */
type RouteCache<K extends object> = WeakMap<K, Map<number, Route>>;

/** Finds what an application asked for: where it is, whether it may be reached, and how. */
export class Router {
  readonly #options: RouterOptions;
  readonly #clientContext: ReturnType<typeof createClientContext>;
  readonly #lookups: LookupCache;
  #generation: Generation | undefined;
  #trust = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#clientContext = createClientContext(options.identity);
    this.#lookups = new LookupCache(options);
    // Routes are made anew when somebody asks. Who waits for an endpoint asks no more, and may wait for one that is gone.
    options.book.onChange(() => {
      for (const cluster of options.clusters.all) if (cluster.circuit.pending > 0) cluster.refresh?.();
    });
  }

  /**
   * At once where all is known; else a promise, which the address book and the resolver bound. A destination of which
   * nothing can be found out is refused, never tried in plaintext (invariant 5).
   */
  route(target: Target): Route | Promise<Route> {
    const destination = this.#options.book.peek(target.name);
    if (destination !== undefined) return this.#routeTo(destination, target);
    return this.#options.book.resolve(target.name).then((resolved) => this.#routeTo(resolved, target));
  }

  #routeTo(destination: Destination, target: Target): Route | Promise<Route> {
    const generation = this.#current();
    if (generation === undefined) return REFUSED.unconfigured;
    if (target.otherwise !== undefined && !isMeant(destination, target)) return this.route(target.otherwise);
    switch (destination.kind) {
      case 'service': {
        const { service, workloads } = destination;
        if (!target.visible.has(service)) return REFUSED.notVisible;
        const port = portOf(service, target);
        if (port === undefined) return REFUSED.noPort;
        if (service.passthrough) return this.#passthroughRoute(generation, destination, { ...target, ports: [port] });
        return cached(generation.clusters, destination, port, () =>
          this.#serviceRoute(generation, { service, workloads, port, name: target.name }),
        );
      }
      case 'workload': {
        if (!target.open) return REFUSED.notVisible;
        const { workload } = destination;
        const port = target.ports[0] ?? 0;
        if (workload.addresses.some((address) => this.#options.isOwn(address, port))) return REFUSED.loop;
        return cached(generation.clusters, destination, port, () => this.#workloadRoute(generation, workload, port));
      }
      case 'outside':
        if (!target.open) return REFUSED.notVisible;
        if (generation.config.outboundTrafficPolicy !== 'ALLOW_ANY') return REFUSED.outside;
        return this.#outsideRoute(generation, destination, target);
      case 'unknown':
        return refuse({
          status: 503,
          flags: 'NC',
          detail: 'cluster_not_found',
          body: `the destination could not be found out: ${destination.reason}`,
        });
      default:
        return destination satisfies never;
    }
  }

  /** The parts of the configuration in force. Peers are judged anew when the roots, or who we are, have changed. */
  #current(): Generation | undefined {
    const { config: source, clusters, verifyPeer, isOwn, istio, onSecured, onRefused } = this.#options;
    const config = source.current();
    const before = this.#generation;
    if (config === undefined || before?.config === config) return before;
    const own = config.workload;
    const renewed = before !== undefined && !sameTrust(before.config, config);
    if (renewed) this.#trust += 1;
    this.#generation = {
      config,
      clusters: new WeakMap(),
      named: new WeakMap(),
      factory: new EndpointFactory({
        own,
        ownIdentity: own.identity,
        metadata: metadataLines(own),
        trust: this.#trust,
        clientContext: this.#clientContext,
        verifyPeer,
        isOwn,
        istio,
        onSecured,
        onRefused,
      }),
    };
    if (renewed) clusters.renew();
    return this.#generation;
  }

  #serviceRoute(
    { config, factory }: Generation,
    parts: { service: Service; workloads: readonly Workload[]; port: number; name: DestinationName },
  ): Route {
    const { service, workloads, port, name } = parts;
    const reached = workloads.flatMap((workload) => {
      const own = workload.healthy ? workload.services.get(service.key)?.get(port) : undefined;
      return own === undefined ? [] : [{ workload, port: own }];
    });
    const policy = policyFor(config, service, port);
    const cluster = this.#options.clusters.open(`${service.key}|${port}`, `outbound|${port}||${service.hostname}`);
    this.#refreshBy(cluster, (generation) => {
      const now = this.#options.book.peek(name);
      if (now === undefined || now.kind === 'unknown') this.#serviceRoute(generation, parts);
      else if (now.kind === 'service') this.#serviceRoute(generation, { ...now, port, name });
      else this.#serviceRoute(generation, { service, workloads: [], port, name });
    });
    return this.#routeVia(cluster, policy, reached, { factory, service, servicePort: port });
  }

  /** A workload called by its address: of the services it belongs to, the port says which is meant, if any. */
  #workloadRoute({ factory }: Generation, workload: Workload, port: number): Route {
    const name = `outbound|${port}||${workload.addresses[0] ?? workload.hostname}`;
    const cluster = this.#options.clusters.open(`${workload.uid}|${port}`, name);
    const policy = DEFAULT_DESTINATION_POLICY;
    this.#refreshBy(cluster, (generation) => this.#workloadRoute(generation, workload, port));
    return this.#routeVia(cluster, policy, [{ workload, port }], { factory, service: undefined, servicePort: port });
  }

  #refreshBy(cluster: Cluster, route: (generation: Generation) => void): void {
    cluster.refresh = () => {
      if (this.#generation !== undefined) route(this.#generation);
    };
  }

  #routeVia(
    cluster: Cluster,
    policy: DestinationPolicy,
    reached: readonly { readonly workload: Workload; readonly port: number }[],
    { factory, service, servicePort }: { factory: EndpointFactory; service: Service | undefined; servicePort: number },
  ): Route {
    let refusal: Refused | undefined;
    const { mode, sni } = policy.tls;
    cluster.update({ policy }, (hostOf) => {
      const of: EndpointCluster = { retries: cluster.retries, hostOf, sni };
      return reached.flatMap(({ workload, port }): Endpoint[] => {
        const way = wayTo(workload, port, mode);
        const parts = { workload, port, service, servicePort, cluster: of };
        if (way.kind === 'plaintext') return [factory.plaintext(parts)];
        if (way.kind === 'refused') {
          refusal = refuse({ status: 503, flags: 'UH', detail: 'no_healthy_upstream{mtls}', body: way.reason });
          return [];
        }
        if (this.#clientContext() === undefined) {
          refusal = REFUSED.noCertificate;
          return [];
        }
        return [factory.mtls(parts)];
      });
    });
    return cluster.members.length > 0 ? routeTo(cluster) : (refusal ?? REFUSED.unhealthy);
  }

  /** Outside the mesh, as nobody has described it. */
  #outsideRoute(generation: Generation, destination: Destination, target: Target): Promise<Route> {
    const { host } = target.name;
    return this.#namedRoute(generation, destination, target, {
      name: 'PassthroughCluster',
      key: `outside|${host}|${target.ports[0] ?? 0}`,
      service: { ...UNKNOWN_SERVICE, host, name: 'PassthroughCluster' },
      policy: DEFAULT_DESTINATION_POLICY,
    });
  }

  /** A service of which calls go to whatever its caller names: a ServiceEntry without addresses of its own. */
  #passthroughRoute(
    generation: Generation,
    destination: Destination & { readonly kind: 'service' },
    target: Target,
  ): Route | Promise<Route> {
    const { service } = destination;
    const port = target.ports[0] ?? 0;
    const policy = policyFor(generation.config, service, port);
    // Nobody knows who answers there, so nobody can be proven to.
    if (policy.tls.mode !== 'AUTO' && policy.tls.mode !== 'DISABLE') return REFUSED.unproven;
    return this.#namedRoute(generation, destination, target, {
      name: `outbound|${port}||${service.hostname}`,
      key: `${service.key}|${port}|${target.name.host}`,
      service: reportedService(service.namespace, service.hostname),
      policy,
    });
  }

  /**
   * Where a name leads, in plaintext. It is resolved first and its addresses are asked for too: one that leads to a
   * workload of the mesh is a call to that workload, and made as such.
   */
  async #namedRoute(generation: Generation, destination: Destination, target: Target, of: Named): Promise<Route> {
    const port = target.ports[0] ?? 0;
    const addresses = await this.#lookups.addressesOf(target.name.host);
    const found = await Promise.all(addresses.map((address) => this.#options.book.resolve({ host: address })));
    const inMesh = found.find((each) => each.kind !== 'outside' && !isSame(each, destination));
    if (inMesh?.kind === 'workload' || inMesh?.kind === 'unknown') return this.#routeTo(inMesh, target);
    if (inMesh !== undefined) return REFUSED.notVisible;
    if (addresses.length === 0) return REFUSED.noAddress;
    if (addresses.some((address) => this.#options.isOwn(address, port))) return REFUSED.loop;
    let routes = generation.named.get(destination);
    if (routes === undefined) generation.named.set(destination, (routes = new WeakMap()));
    return cached(routes, addresses, port, () => {
      const cluster = this.#options.clusters.open(of.key, of.name);
      cluster.update({ policy: of.policy, picking: 'IN_ORDER' }, (hostOf) => {
        const owner: EndpointCluster = { retries: cluster.retries, hostOf, sni: undefined };
        return addresses.map((address) => generation.factory.outside(address, port, of.service, owner));
      });
      return routeTo(cluster);
    });
  }
}

/** What is called by the addresses of a name. */
interface Named {
  readonly name: string;
  readonly key: string;
  readonly service: ReportedService;
  readonly policy: DestinationPolicy;
}

/** An address of a service's own leads back to it: nothing else is known to be there. */
function isSame(found: Destination, destination: Destination): boolean {
  return found.kind === 'service' && destination.kind === 'service' && found.service === destination.service;
}

function policyFor(config: SidecarConfig, service: Service, port: number): DestinationPolicy {
  const { workload, rootNamespace, destinationRules } = config;
  const caller = { namespace: workload.namespace, labels: workload.labels, rootNamespace };
  return destinationPolicyOf(chooseTrafficPolicy(destinationRules, caller, service), port);
}

function cached<K extends object>(cache: RouteCache<K>, key: K, port: number, make: () => Route): Route {
  let routes = cache.get(key);
  if (routes === undefined) {
    routes = new Map();
    cache.set(key, routes);
  }
  const known = routes.get(port);
  if (known !== undefined) return known;
  const route = make();
  // A certificate that is missing comes without the configuration changing.
  if (route !== REFUSED.noCertificate) routes.set(port, route);
  return route;
}

/** Whether a name says more than the address that was called. What is not known may be such a name: it is refused. */
function isMeant(destination: Destination, target: Target): boolean {
  if (destination.kind === 'unknown') return true;
  if (destination.kind !== 'service' || portOf(destination.service, target) === undefined) return false;
  // Nobody is behind a ServiceEntry with resolution NONE: calls to it go where their callers say.
  return destination.workloads.length > 0 || !target.visible.has(destination.service);
}

function routeTo(cluster: Cluster): Route {
  return Object.freeze({ kind: 'cluster', cluster });
}

/** The first of the asked ports that the service has. */
function portOf({ ports }: Service, { ports: asked, anyPort }: Target): number | undefined {
  const found = asked.find((port) => ports.some((own) => own.port === port));
  return found ?? (anyPort && ports.length === 1 ? ports[0]?.port : undefined);
}

function sameTrust(a: SidecarConfig, b: SidecarConfig): boolean {
  return a.bundleOf === b.bundleOf && a.workload.identity.equals(b.workload.identity);
}
