import type { Clock } from '../../src/core/clock.ts';
import { DEFAULT_DESTINATION_POLICY, type DestinationPolicy } from '../../src/resources/destination-policy.ts';
import type { AddressBook, Destination, DestinationName, Service, Workload } from '../agent/destination.ts';
import type { SidecarConfig, SidecarConfigSource } from '../agent/sidecar-config.ts';
import type { IdentitySource, VerifyPeer } from '../inbound/identity-source.ts';
import type { IstioMetrics } from '../report/istio-metrics.ts';
import { metadataLines } from '../report/peer-metadata.ts';
import type { Secured } from '../upstream/secured.ts';
import type { UpstreamClusters } from '../upstream/upstream-clusters.ts';
import { createClientContext } from './client-context.ts';
import type { Cluster } from './cluster.ts';
import type { Endpoint } from './endpoint.ts';
import { EndpointFactory, type EndpointCluster } from './endpoints.ts';
import type { Lookup } from './lookup-cache.ts';
import { NamedRoutes, type NamedRouteCache } from './named-routes.ts';
import { policyFor } from './policy-for.ts';
import { cached, type RouteCache } from './route-cache.ts';
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
  readonly named: NamedRouteCache;
}

/** Finds what an application asked for: where it is, whether it may be reached, and how. */
export class Router {
  readonly #options: RouterOptions;
  readonly #clientContext: ReturnType<typeof createClientContext>;
  readonly #named: NamedRoutes;
  #generation: Generation | undefined;
  #trust = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#clientContext = createClientContext(options.identity);
    this.#named = new NamedRoutes({
      ...options,
      routeTo: (destination, target) => this.#routeTo(destination, target),
    });
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
        if (service.passthrough) return this.#named.passthrough(generation, destination, { ...target, ports: [port] });
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
        return this.#named.outside(generation, destination, target);
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
      const called = workload.healthy || service.callsUnhealthy;
      const own = called ? workload.services.get(service.key)?.get(port) : undefined;
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
}

/** Whether a name says more than the address that was called. What is not known may be such a name: it is refused. */
function isMeant(destination: Destination, target: Target): boolean {
  if (destination.kind === 'unknown') return true;
  if (destination.kind !== 'service' || portOf(destination.service, target) === undefined) return false;
  if (destination.service.passthrough) return true;
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
