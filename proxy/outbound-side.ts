import type { Clock } from '../src/core/clock.ts';
import type { SealwrightError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/logger.ts';
import type { AddressBook } from './agent/destination.ts';
import type { OutboundListenerConfig, SidecarConfig, SidecarConfigSource } from './agent/sidecar-config.ts';
import { captureOutbound } from './captured-outbound.ts';
import type { Finding } from './detect/finding.ts';
import type { HttpEngine } from './http1/http-engine.ts';
import type { RequestIds } from './http1/request-ids.ts';
import type { Interception } from './intercept/interception.ts';
import { holdForProcess } from './listen/hold-place.ts';
import { keyOf, ListenerSet, type Listening, type Place } from './listen/listener-set.ts';
import { OutboundListener } from './outbound/outbound-listener.ts';
import { egressPort, proxyPort, type Lead, type OutboundPort } from './outbound/outbound-port.ts';
import type { Router } from './outbound/router.ts';
import type { OutboundReporter } from './report/outbound-reporter.ts';
import type { SharedSidecar } from './shared-sidecar.ts';
import type { IdleLimit } from './tcp/idle-limit.ts';

export interface OutboundSideOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: SidecarConfigSource;
  readonly book: AddressBook;
  readonly engine: HttpEngine;
  readonly router: Router;
  readonly reporter: OutboundReporter;
  readonly requestIds: RequestIds;
  readonly found: (finding: Finding) => void;
  readonly tcpIdle: IdleLimit | undefined;
  /** See `SidecarOptions`. */
  readonly proxy: { readonly host: string | undefined; readonly port: number };
  readonly interception: Interception | undefined;
  readonly shared: SharedSidecar | undefined;
}

/** An egress listener, or the HTTP proxy port; without `leads` where all connections are brought to. */
type OutboundPlace = Place & { readonly leads?: OutboundPort };

/** Where the application's own calls arrive: listeners as the configuration asks for them, and the HTTP proxy port. */
export class OutboundSide {
  readonly #options: OutboundSideOptions;
  readonly #places: ListenerSet<OutboundPlace>;
  readonly #egress = new WeakMap<OutboundListenerConfig, OutboundPort>();
  #proxyPort: { readonly hosts: SidecarConfig['outboundHosts']; readonly leads: OutboundPort } | undefined;

  constructor(options: OutboundSideOptions) {
    this.#options = options;
    const { clock, logger, shared } = options;
    this.#places = new ListenerSet({
      name: 'outbound',
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

  /** Whether an address and port are one of these. */
  has(address: string, port: number): boolean {
    return this.#places.has(address, port);
  }

  /** Where it really listens for a place that was asked for. */
  portOf(place: Place): number | undefined {
    return this.#places.portOf(keyOf(place));
  }

  /** Opens what is new and retires what is gone. Resolves when that is done, and never rejects. */
  apply(config: SidecarConfig): Promise<void> {
    return this.#places.apply(this.#placesOf(config));
  }

  /** Accepts no more and breaks what is open. */
  close(): Promise<void> {
    return this.#places.close();
  }

  #create(key: string, { address, leads }: OutboundPlace): Listening {
    const { clock, config, book, engine, router, reporter, requestIds, found, tcpIdle, interception, shared } =
      this.#options;
    const named: Lead = { port: () => this.#places.wanted(key)?.leads };
    const captured =
      leads === undefined && interception !== undefined
        ? captureOutbound({ destinations: interception.destinations, config, book })
        : undefined;
    const lead = captured ?? (() => named);
    const listener = new OutboundListener({ clock, engine, router, reporter, requestIds, lead, found, tcpIdle });
    return listening(listener, address, shared !== undefined);
  }

  #placesOf({ outbound, outboundHosts, localAddress }: SidecarConfig): OutboundPlace[] {
    const { proxy, shared, interception } = this.#options;
    const { host = localAddress, port } = proxy;
    const own = outbound.filter(
      ({ address, bound }) =>
        (interception === undefined || bound === true) && (shared?.listensAlone !== false || !isUnix(address)),
    );
    if (this.#proxyPort?.hosts !== outboundHosts) {
      this.#proxyPort = { hosts: outboundHosts, leads: proxyPort(outboundHosts) };
    }
    const egress = own.map((listener): OutboundPlace => {
      let leads = this.#egress.get(listener);
      if (leads === undefined) {
        leads = egressPort(listener);
        this.#egress.set(listener, leads);
      }
      return { address: listener.address, port: listener.port, leads };
    });
    if (interception !== undefined) return [...egress, ...interception.outbound];
    return [...egress, { address: host, port, leads: this.#proxyPort.leads }];
  }
}

const UNIX = 'unix://';

function isUnix(address: string): boolean {
  return address.startsWith(UNIX);
}

function listening(listener: OutboundListener, address: string, reusePort: boolean): Listening {
  const path = isUnix(address) ? address.slice(UNIX.length) : undefined;
  return {
    listen: (port) => listener.listen(path === undefined ? { host: address, port, reusePort } : { path }),
    retire: () => listener.stop(),
    close: () => listener.close(),
    get open() {
      return listener.open;
    },
  };
}
