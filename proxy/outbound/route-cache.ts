import { REFUSED, type Route } from './route.ts';

/** Routes by what they were made of and by port. */
export type RouteCache<K extends object> = WeakMap<K, Map<number, Route>>;

export function cached<K extends object>(cache: RouteCache<K>, key: K, port: number, make: () => Route): Route {
  let routes = cache.get(key);
  if (routes === undefined) {
    routes = new Map();
    cache.set(key, routes);
  }
  const known = routes.get(port);
  if (known !== undefined && !(known.kind === 'cluster' && known.cluster.forgotten)) return known;
  const route = make();
  // A certificate that is missing comes without the configuration changing.
  if (route !== REFUSED.noCertificate) routes.set(port, route);
  return route;
}
