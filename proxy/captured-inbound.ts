import type { OnReadOpts, Socket } from 'node:net';
import type { InboundListenerConfig, SidecarConfig, SidecarConfigSource } from './agent/sidecar-config.ts';
import type { InboundPort } from './inbound/inbound-services.ts';
import type { Interception } from './intercept/interception.ts';
import type { Place } from './intercept/original-destination.ts';
import type { UpstreamPools } from './upstream/upstream-pools.ts';

export interface CapturedInboundOptions {
  readonly interception: Interception;
  readonly config: Pick<SidecarConfigSource, 'current'>;
  /** Connections to the application. */
  readonly applications: UpstreamPools;
  /** Whether a place is a listener of this sidecar: leading others there would let them speak with its identity. */
  readonly isOwn: (address: string, port: number) => boolean;
}

/** Ports of one configuration that are kept: whoever tries all of them must not fill the memory. */
const MAX_PORTS = 1_024;

/**
 * Finds where intercepted connections from others go on to: the port that the configuration names, else the same port of
 * the application in the workload's mode, as Istio's InboundPassthroughCluster has it. Policy means that port.
 */
export class CapturedInbound {
  readonly #options: CapturedInboundOptions;
  readonly #destinations = new WeakMap<Socket, Place>();
  #ports: { readonly config: SidecarConfig; readonly byPlace: Map<string, InboundPort> } | undefined;

  constructor(options: CapturedInboundOptions) {
    this.#options = options;
  }

  /** Undefined for what was not captured, and for what must not be carried on. */
  readonly route = (socket: Socket): InboundPort | undefined => {
    const { interception, config } = this.#options;
    let destination = this.#destinations.get(socket);
    if (destination === undefined) {
      destination = interception.destinations.of(socket);
      if (destination === undefined || !interception.admits(destination)) return undefined;
      this.#destinations.set(socket, destination);
    }
    const current = config.current();
    return current === undefined ? undefined : this.#portOf(current, destination, socket.remoteAddress ?? '');
  };

  #portOf(config: SidecarConfig, destination: Place, from: string): InboundPort | undefined {
    if (this.#ports?.config !== config || this.#ports.byPlace.size >= MAX_PORTS) {
      this.#ports = { config, byPlace: new Map() };
    }
    const { byPlace } = this.#ports;
    const { interception, applications } = this.#options;
    // Where the application is to see who calls, each caller has connections of its own.
    const source = interception.openListener === undefined ? '' : from;
    const key = `${destination.address} ${destination.port} ${source}`;
    const known = byPlace.get(key);
    if (known !== undefined) return known;
    const listener = listenerFor(config, destination);
    const given = listener?.endpointAssumed === true ? undefined : listener?.endpoint;
    const { address: host, port: at } = destination;
    const endpoint = given ?? { kind: 'tcp', host, port: at };
    if (endpoint.kind === 'tcp' && this.#options.isOwn(endpoint.host, endpoint.port)) return undefined;
    const transport = interception.toApplication(endpoint, source);
    const port = Object.freeze({
      mode: listener?.mode ?? config.mtlsMode(destination.port),
      protocol: listener?.protocol ?? 'auto',
      ...destination,
      upstream: applications.get(`${source} ${transport.destination}`, transport),
      connect: (onread?: OnReadOpts) => transport.connect(onread),
    });
    byPlace.set(key, port);
    return port;
  }
}

/** One that is bound has a place of its own; of several for a port the one for the address counts. */
function listenerFor({ inbound }: SidecarConfig, { address, port }: Place): InboundListenerConfig | undefined {
  const fitting = inbound.filter((listener) => listener.port === port && listener.bound !== true);
  return fitting.find((listener) => listener.address === address) ?? fitting[0];
}
