import type { ListenOptions, OnReadOpts } from 'node:net';
import type { Clock } from '../src/core/clock.ts';
import type { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import type { InboundListenerConfig, SidecarConfig, SidecarConfigSource } from './agent/sidecar-config.ts';
import { CapturedInbound } from './captured-inbound.ts';
import type { HttpEngine } from './http1/http-engine.ts';
import { InboundListener } from './inbound/inbound-listener.ts';
import type { InboundPort, InboundServices } from './inbound/inbound-services.ts';
import type { Interception } from './intercept/interception.ts';
import { holdForProcess } from './listen/hold-place.ts';
import { keyOf, ListenerSet, type Listening, type Place } from './listen/listener-set.ts';
import type { SharedSidecar } from './shared-sidecar.ts';
import type { IdleLimit } from './tcp/idle-limit.ts';
import { applicationTransport } from './upstream/application-transport.ts';
import type { UpstreamPools } from './upstream/upstream-pools.ts';

export interface InboundSideOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: SidecarConfigSource;
  readonly engine: HttpEngine;
  readonly services: Omit<InboundServices, 'route'>;
  /** Connections to the application. */
  readonly applications: UpstreamPools;
  readonly tcpIdle: IdleLimit | undefined;
  readonly interception: Interception | undefined;
  readonly shared: SharedSidecar | undefined;
  /** Whether a place is where the application's own calls arrive. */
  readonly isOutbound: (address: string, port: number) => boolean;
}

/** A listener of the configuration, or where all connections are brought to. */
type InboundPlace = InboundListenerConfig | (Place & { readonly captures: true });

/** Where others come in: listeners as the configuration asks for them, and the application behind each. */
export class InboundSide {
  readonly #options: InboundSideOptions;
  readonly #captured: CapturedInbound | undefined;
  readonly #places: ListenerSet<InboundPlace>;
  readonly #listeners = new Set<InboundListener>();
  readonly #ports = new WeakMap<InboundListenerConfig, InboundPort>();

  constructor(options: InboundSideOptions) {
    this.#options = options;
    const { clock, logger, config, applications, interception, shared } = options;
    if (interception !== undefined) {
      const isOwn = (address: string, port: number): boolean => this.#isOwn(address, port);
      this.#captured = new CapturedInbound({ interception, config, applications, isOwn });
    }
    this.#places = new ListenerSet({
      name: 'inbound',
      hold: shared?.hold ?? holdForProcess,
      onChange: shared?.onListeners,
      clock,
      logger,
      create: (key, place) => this.#create(key, place),
    });
  }

  /** Listeners that could not be opened. */
  get problems(): readonly SealwrightError[] {
    return this.#places.problems;
  }

  /** Open connections. */
  get open(): number {
    return this.#places.open;
  }

  /** Where it really listens for a place that was asked for. */
  portOf(place: Place): number | undefined {
    return this.#places.portOf(keyOf(place));
  }

  /** Opens what is new and retires what is gone. Resolves when that is done, and never rejects. */
  apply({ inbound }: SidecarConfig): Promise<void> {
    const { interception } = this.#options;
    if (interception === undefined) return this.#places.apply(inbound);
    const captures = interception.inbound.map((place): InboundPlace => ({ ...place, captures: true }));
    return this.#places.apply([...captures, ...inbound.filter(({ bound }) => bound === true)]);
  }

  /** Judges what is open anew. */
  recheck(): void {
    for (const listener of this.#listeners) listener.recheck();
  }

  /** Accepts no more; what is open ends in order. */
  retire(): Promise<void> {
    return this.#places.retire();
  }

  /** Accepts no more and breaks what is open. */
  close(): Promise<void> {
    return this.#places.close();
  }

  #create(key: string, place: InboundPlace): Listening {
    const { clock, engine, services, tcpIdle, interception, shared } = this.#options;
    const reusePort = shared !== undefined;
    const route = this.#routeAt(key, place);
    const listener = new InboundListener({
      clock,
      engine,
      services: { ...services, route },
      tcpIdle,
    });
    this.#listeners.add(listener);
    const { address: host } = place;
    const where = (port: number): ListenOptions | { fd: number } => {
      if (!('captures' in place)) return { host, port, reusePort };
      const fd = interception?.openListener?.(place);
      return fd === undefined ? { host, port, reusePort, ipv6Only: host.includes(':') } : { fd };
    };
    return {
      listen: async (port) => (await listener.listen(where(port))).port,
      retire: () => {
        void listener.drain().then(() => this.#listeners.delete(listener));
      },
      close: () => {
        this.#listeners.delete(listener);
        return listener.close();
      },
      get open() {
        return listener.open;
      },
    };
  }

  #routeAt(key: string, place: InboundPlace): InboundServices['route'] {
    if ('captures' in place) return this.#captured?.route ?? (() => undefined);
    let last = place;
    return () => {
      const wanted = this.#places.wanted(key);
      const known = wanted === undefined || 'captures' in wanted ? undefined : wanted;
      // One that is retired serves what is open as it did, unless the mode has changed; it accepts nothing new.
      const mode = known?.mode ?? this.#options.config.current()?.mtlsMode(last.port) ?? 'STRICT';
      if (known !== undefined) last = known;
      else if (mode !== last.mode) last = Object.freeze({ ...last, mode });
      return this.#portOf(last);
    };
  }

  #isOwn(address: string, port: number): boolean {
    return this.#places.has(address, port) || this.#options.isOutbound(address, port);
  }

  #portOf(config: InboundListenerConfig): InboundPort | undefined {
    const { interception, applications } = this.#options;
    const { endpoint } = config;
    // An endpoint that leads back to where others come in would never end, and one where the application goes out
    // would let others speak with our identity.
    if (endpoint.kind === 'tcp' && this.#isOwn(endpoint.host, endpoint.port)) return undefined;
    let port = this.#ports.get(config);
    if (port === undefined) {
      const transport = interception?.toApplication(endpoint, '') ?? applicationTransport(endpoint);
      port = Object.freeze({
        mode: config.mode,
        protocol: config.protocol,
        address: config.address,
        port: config.port,
        upstream: applications.get(transport.destination, transport),
        connect: (onread?: OnReadOpts) => transport.connect(onread),
      });
      this.#ports.set(config, port);
    }
    return port;
  }
}
