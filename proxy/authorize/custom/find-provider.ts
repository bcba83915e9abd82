import type { ExtensionProvider } from '../../../src/resources/extension-provider.ts';
import type { Service } from '../../agent/destination.ts';
import type { Cluster } from '../../outbound/cluster.ts';
import type { Route, Target } from '../../outbound/route.ts';

/** Finds the way to a destination; the outbound side's router. */
export interface RouteFinder {
  route(target: Target): Route | Promise<Route>;
}

export type AuthorizationProvider = Exclude<ExtensionProvider, { kind: 'other' }>;

/** A host of Kubernetes says which namespace it is of. */
const IN_CLUSTER = /^[^.]+\.([^.]+)\.svc(?:\.|$)/;

/**
 * What is asked of the router for a provider's `service`: `host`, or `namespace/host`. A ServiceEntry of the same host in
 * another namespace, be it the own one, must not become the judge of what may pass; where nothing says which namespace is
 * meant, there has to be only one, as Istio has it.
 */
export function targetOf({ service, port }: Pick<AuthorizationProvider, 'service' | 'port'>): Target {
  const slash = service.indexOf('/');
  const host = service.slice(slash + 1).toLowerCase();
  const namespace = slash === -1 ? IN_CLUSTER.exec(host)?.[1] : service.slice(0, slash);
  return Object.freeze({
    name: { host: host.endsWith('.') ? host.slice(0, -1) : host, owner: namespace ?? '*' },
    ports: [port],
    anyPort: false,
    // What the application may call does not bind its sidecar, whose provider the mesh settings name.
    visible: {
      only: undefined,
      namespaces: [],
      has: (found: Pick<Service, 'namespace' | 'hostname'>) => namespace === undefined || found.namespace === namespace,
    },
    open: true,
  });
}

/** Where a provider is at this moment, or why it is nowhere. Calls back once; never before it returns. */
export function findCluster(
  router: RouteFinder,
  target: Target,
  found: (cluster: Cluster | undefined, reason: string) => void,
): void {
  const tell = (route: Route): void => {
    if (route.kind === 'cluster') found(route.cluster, '');
    else found(undefined, route.detail);
  };
  Promise.resolve(router.route(target)).then(tell, (error: unknown) => found(undefined, String(error)));
}
