import type { Clock } from '../../src/core/clock.ts';
import { chooseTrafficPolicy } from '../../src/resources/choose-destination-rule.ts';
import {
  DEFAULT_DESTINATION_POLICY,
  destinationPolicyOf,
  type DestinationPolicy,
} from '../../src/resources/destination-policy.ts';
import type { AddressBook, Destination, Service, Workload } from '../agent/destination.ts';
import type { SidecarConfig, SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { IdentitySource, VerifyPeer } from '../inbound/identity-source.ts';
import { UNKNOWN_SERVICE, type ReportedService } from '../report/edge.ts';
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
}

/** What was made from one configuration, and is made anew from the next. */
interface Generation {
  readonly config: SidecarConfig;
  readonly factory: EndpointFactory;
  readonly clusters: RouteCache<Destination>;
  /** By the addresses that a name was resolved to, which are another array once they are asked for again. */
  readonly passthrough: RouteCache<readonly string[]>;
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
        return cached(generation.clusters, destination, port, () =>
          this.#serviceRoute(generation, { service, workloads, port }),
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
        return this.#outsideRoute(generation, target);
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
    const { config: source, clusters, verifyPeer, isOwn, istio, onSecured } = this.#options;
    const config = source.current();
    const before = this.#generation;
    if (config === undefined || before?.config === config) return before;
    const own = config.workload;
    if (before !== undefined && !sameTrust(before.config, config)) {
      this.#trust += 1;
      clusters.renew();
    }
    this.#generation = {
      config,
      clusters: new WeakMap(),
      passthrough: new WeakMap(),
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
      }),
    };
    return this.#generation;
  }

  #serviceRoute(
    { config, factory }: Generation,
    { service, workloads, port }: { service: Service; workloads: readonly Workload[]; port: number },
  ): Route {
    const reached = workloads.flatMap((workload) => {
      const own = workload.healthy ? workload.services.get(service.key)?.get(port) : undefined;
      return own === undefined ? [] : [{ workload, port: own }];
    });
    const { workload, rootNamespace, destinationRules } = config;
    const caller = { namespace: workload.namespace, labels: workload.labels, rootNamespace };
    const policy = destinationPolicyOf(chooseTrafficPolicy(destinationRules, caller, service), port);
    const cluster = this.#options.clusters.open(`${service.key}|${port}`, `outbound|${port}||${service.hostname}`);
    return this.#routeVia(cluster, policy, reached, { factory, service, servicePort: port });
  }

  /** A workload called by its address: of the services it belongs to, the port says which is meant, if any. */
  #workloadRoute({ factory }: Generation, workload: Workload, port: number): Route {
    const name = `outbound|${port}||${workload.addresses[0] ?? workload.hostname}`;
    const cluster = this.#options.clusters.open(`${workload.uid}|${port}`, name);
    const policy = DEFAULT_DESTINATION_POLICY;
    return this.#routeVia(cluster, policy, [{ workload, port }], { factory, service: undefined, servicePort: port });
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

  /**
   * Outside the mesh, in plaintext. A name is resolved first and its addresses are asked for too: one that leads to a
   * workload of the mesh is a call to that workload, and made as such.
   */
  async #outsideRoute(generation: Generation, target: Target): Promise<Route> {
    const { host } = target.name;
    const port = target.ports[0] ?? 0;
    const addresses = await this.#lookups.addressesOf(host);
    const found = await Promise.all(addresses.map((address) => this.#options.book.resolve({ host: address })));
    const inMesh = found.find((destination) => destination.kind !== 'outside');
    if (inMesh?.kind === 'workload' || inMesh?.kind === 'unknown') return this.#routeTo(inMesh, target);
    if (inMesh !== undefined) return REFUSED.notVisible;
    if (addresses.length === 0) return REFUSED.noAddress;
    if (addresses.some((address) => this.#options.isOwn(address, port))) return REFUSED.loop;
    return cached(generation.passthrough, addresses, port, () => {
      const service: ReportedService = { ...UNKNOWN_SERVICE, host, name: 'PassthroughCluster' };
      const cluster = this.#options.clusters.open(`outside|${host}|${port}`, 'PassthroughCluster');
      cluster.update({ policy: DEFAULT_DESTINATION_POLICY, picking: 'IN_ORDER' }, (hostOf) => {
        const of: EndpointCluster = { retries: cluster.retries, hostOf, sni: undefined };
        return addresses.map((address) => generation.factory.outside(address, port, service, of));
      });
      return routeTo(cluster);
    });
  }
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
