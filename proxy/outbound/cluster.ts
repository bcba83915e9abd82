import type { Endpoint } from './endpoint.ts';

/** What is behind one port of one service, or of one address. */
export interface Cluster {
  /** As Envoy names it, for logs: `outbound|<port>||<host>`. */
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  /** The next in turn; undefined where there is none. */
  pick(): Endpoint | undefined;
  /** The endpoint at `address:port`, for reports of where a request went in the end. */
  at(destination: string): Endpoint | undefined;
}

export interface ClusterOptions {
  readonly name: string;
  /** Given the way to the next one, so that a request can go elsewhere when nobody is reached. */
  readonly endpoints: (next: () => Endpoint | undefined) => readonly Endpoint[];
  /** Calls go to the first one and to others only when it fails: addresses of one name, in the order of the resolver. */
  readonly inOrder?: boolean;
}

export function createCluster({ name, endpoints: make, inOrder = false }: ClusterOptions): Cluster {
  let turn = 0;
  let slots: readonly Endpoint[] = [];
  const next = (): Endpoint | undefined => {
    const picked = slots[turn % slots.length];
    turn = (turn + 1) % slots.length;
    return picked;
  };
  // A second try at the only endpoint would fail as the first one did.
  const endpoints = make(() => (slots.length > 1 ? next() : undefined));
  slots = spread(endpoints);
  const byDestination = new Map(endpoints.map((endpoint) => [endpoint.destination, endpoint]));
  return {
    name,
    endpoints,
    pick: () => {
      if (inOrder) turn = 0;
      return next();
    },
    at: (destination) => byDestination.get(destination),
  };
}

/** Slots that a turn runs through: more than this, and weights are made coarser instead. */
const MAX_SLOTS = 1024;

/** Each endpoint as often as it weighs, spread over the turn so that none is called in a burst. */
function spread(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const lowest = Math.min(...endpoints.map(({ weight }) => weight));
  if (endpoints.every(({ weight }) => weight === lowest)) return endpoints;
  const total = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  const scale = Math.min(1 / lowest, MAX_SLOTS / total);
  const placed = endpoints.flatMap((endpoint) => {
    const count = Math.max(1, Math.round(endpoint.weight * scale));
    return Array.from({ length: count }, (_, index) => ({ endpoint, place: (index + 0.5) / count }));
  });
  return placed.toSorted((a, b) => a.place - b.place).map(({ endpoint }) => endpoint);
}
