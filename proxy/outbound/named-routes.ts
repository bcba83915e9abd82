import type { Clock } from '../../src/core/clock.ts';
import { DEFAULT_DESTINATION_POLICY, type DestinationPolicy } from '../../src/resources/destination-policy.ts';
import type { AddressBook, Destination } from '../agent/destination.ts';
import type { SidecarConfig } from '../agent/sidecar-config.ts';
import { reportedService, UNKNOWN_SERVICE, type ReportedService } from '../report/edge.ts';
import type { UpstreamClusters } from '../upstream/upstream-clusters.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointCluster, EndpointFactory } from './endpoints.ts';
import { LookupCache, type Lookup } from './lookup-cache.ts';
import { policyFor } from './policy-for.ts';
import { REFUSED, refusedAt, type Route, type Target } from './route.ts';
import { cached, type RouteCache } from './route-cache.ts';

/** By what was asked for, and by the addresses of it, which are another array once they are asked for again. */
export type NamedRouteCache = WeakMap<Destination, RouteCache<readonly string[]>>;

/** What of one configuration these routes are made with. */
export interface NamedRouteParts {
  readonly config: SidecarConfig;
  readonly factory: EndpointFactory;
  readonly named: NamedRouteCache;
}

export interface NamedRoutesOptions {
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly book: AddressBook;
  readonly clusters: UpstreamClusters<Endpoint>;
  readonly isOwn: (address: string, port: number) => boolean;
  /** The way to what an address turned out to be. */
  readonly routeTo: (destination: Destination, target: Target) => Route | Promise<Route>;
}

/** What is called by the addresses of a name. */
interface Named {
  readonly name: string;
  readonly key: string;
  readonly service: ReportedService;
  readonly policy: DestinationPolicy;
}

/** Ways that lead where the caller says and not to a workload that the mesh knows. */
export class NamedRoutes {
  readonly #options: NamedRoutesOptions;
  readonly #lookups: LookupCache;

  constructor(options: NamedRoutesOptions) {
    this.#options = options;
    this.#lookups = new LookupCache(options);
  }

  /** Outside the mesh, as nobody has described it. */
  outside(parts: NamedRouteParts, destination: Destination, target: Target): Promise<Route> {
    const { host } = target.name;
    return this.#route(parts, destination, target, {
      name: 'PassthroughCluster',
      key: `outside|${host}|${target.ports[0] ?? 0}`,
      service: { ...UNKNOWN_SERVICE, host, name: 'PassthroughCluster' },
      policy: DEFAULT_DESTINATION_POLICY,
    });
  }

  /**
   * A service of which calls go where their caller says: a ServiceEntry without addresses of its own. Whoever was
   * brought here had an address in mind, and is asked for no other (Istio's `NONE`).
   */
  passthrough(
    parts: NamedRouteParts,
    destination: Destination & { readonly kind: 'service' },
    asked: Target,
  ): Route | Promise<Route> {
    const { service } = destination;
    const port = asked.ports[0] ?? 0;
    const policy = policyFor(parts.config, service, port);
    // Nobody knows who answers there, so nobody can be proven to.
    const name = `outbound|${port}||${service.hostname}`;
    const reported = reportedService(service.namespace, service.hostname);
    if (policy.tls.mode !== 'AUTO' && policy.tls.mode !== 'DISABLE') {
      return refusedAt(REFUSED.unproven, { cluster: name, service: reported });
    }
    const target = asked.otherwise === undefined ? asked : { ...asked.otherwise, ports: [port] };
    return this.#route(parts, destination, target, {
      name,
      key: `${service.key}|${port}|${target.name.host}`,
      service: reported,
      policy,
    });
  }

  /**
   * Where a name leads, in plaintext. It is resolved first and its addresses are asked for too: one that leads to a
   * workload of the mesh is a call to that workload, and made as such.
   */
  async #route(parts: NamedRouteParts, destination: Destination, target: Target, of: Named): Promise<Route> {
    const { book, clusters, isOwn, routeTo } = this.#options;
    const port = target.ports[0] ?? 0;
    const addresses = await this.#lookups.addressesOf(target.name.host);
    const found = await Promise.all(addresses.map((address) => book.resolve({ host: address })));
    const inMesh = found.find((each) => each.kind !== 'outside' && !isSame(each, destination));
    const called = found.length === 1 && addresses[0] === target.name.host;
    // A service at the very address that was called is meant; one that a name leads to is not.
    if (inMesh?.kind === 'workload' || inMesh?.kind === 'unknown' || (inMesh !== undefined && called)) {
      return routeTo(inMesh, target);
    }
    if (inMesh !== undefined) return REFUSED.notVisible;
    if (addresses.length === 0) return refusedAt(REFUSED.noAddress, { cluster: of.name, service: of.service });
    if (addresses.some((address) => isOwn(address, port))) return REFUSED.loop;
    let routes = parts.named.get(destination);
    if (routes === undefined) parts.named.set(destination, (routes = new WeakMap()));
    return cached(routes, addresses, port, () => {
      const cluster = clusters.open(of.key, of.name);
      cluster.update({ policy: of.policy, picking: 'IN_ORDER' }, (hostOf) => {
        const owner: EndpointCluster = { retries: cluster.retries, hostOf, sni: undefined };
        return addresses.map((address) => parts.factory.outside(address, port, of.service, owner));
      });
      return Object.freeze({ kind: 'cluster', cluster });
    });
  }
}

/** An address of a service's own leads back to it: nothing else is known to be there. */
function isSame(found: Destination, destination: Destination): boolean {
  return found.kind === 'service' && destination.kind === 'service' && found.service === destination.service;
}
