import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import { HttpConnection } from '../http1/http-connection.ts';
import type { HttpEngine } from '../http1/http-engine.ts';
import type { RequestIds } from '../http1/request-ids.ts';
import { detectProtocol, type Detected } from '../detect/detect-protocol.ts';
import { findingOf, type Finding } from '../detect/finding.ts';
import { Sniffer } from '../detect/sniffer.ts';
import type { Called, Caller, OutboundReporter } from '../report/outbound-reporter.ts';
import { hostPort } from '../report/request-entry.ts';
import { GrowingReader } from '../tcp/growing-reader.ts';
import { breakSocket } from '../tcp/break-socket.ts';
import type { IdleLimit } from '../tcp/idle-limit.ts';
import { TcpRelay } from '../tcp/relay.ts';
import type { Cluster } from './cluster.ts';
import { connectOpaque } from './connect-opaque.ts';
import type { Endpoint } from './endpoint.ts';
import { limitRelay } from './relay-limits.ts';
import { createOutboundHttp } from './outbound-http.ts';
import type { Lead, OutboundPort } from './outbound-port.ts';
import { REFUSED, unhealthy, type Refused, type Target } from './route.ts';
import type { Router } from './router.ts';

export interface OutboundListenerOptions {
  readonly clock: Clock;
  readonly engine: HttpEngine;
  readonly router: Router;
  readonly reporter: OutboundReporter;
  readonly requestIds: RequestIds;
  /** Where one connection leads; undefined where it leads nowhere. Never rejects. */
  readonly lead: (socket: Socket) => Lead | undefined | Promise<Lead | undefined>;
  /** Hears what the first bytes of each connection were, where they were looked at. */
  readonly found?: ((finding: Finding) => void) | undefined;
  /** For how long nothing may pass over an opaque connection; for ever where nothing is said. */
  readonly tcpIdle?: IdleLimit | undefined;
}

/** Milliseconds after which a silent client is taken to wait for the server. */
const SILENCE = 50;
/** Milliseconds for the first bytes to make sense. */
const PATIENCE = 10_000;
/** Places that an opaque connection is tried at. */
const MAX_ATTEMPTS = 3;

/** Accepts the application's own calls. */
export class OutboundListener {
  readonly #options: OutboundListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(options: OutboundListenerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, this.#accept);
  }

  /** Listens; resolves with the port, 0 for a Unix socket, and rejects with what the system says. */
  listen(options: Pick<ListenOptions, 'host' | 'port' | 'path' | 'reusePort'>): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(options, () => {
        this.#server.off('error', reject);
        // An accept that failed leaves nothing behind; without a listener it would end the process.
        this.#server.on('error', (error) => {
          this.#options.engine.logger.warn('a connection could not be accepted', { reason: reasonOf(error) });
        });
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  /** How many connections are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Accepts no more; what is open goes on. */
  stop(): void {
    this.#server.close();
  }

  /** Accepts no more and breaks what is open. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) breakSocket(socket);
    await closed;
  }

  readonly #accept = (socket: Socket): void => {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
    const lead = this.#options.lead(socket);
    if (!(lead instanceof Promise)) {
      this.#serve(socket, lead);
      return;
    }
    const wait = async (): Promise<void> => {
      const found = await lead;
      if (!socket.destroyed) this.#serve(socket, found);
    };
    void wait();
  };

  #serve(socket: Socket, lead: Lead | undefined): void {
    const caller: Caller = {
      remote: hostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0),
      local: lead?.destination ?? hostPort(socket.localAddress ?? '', socket.localPort ?? 0),
    };
    const port = lead?.port();
    if (lead === undefined || port === undefined) breakSocket(socket);
    else if (port.protocol === 'tcp') this.#serveOpaque(socket, caller, port, '');
    else if (port.protocol === 'auto') this.#sniff(socket, caller, { lead, port });
    else this.#serveHttp(socket, caller, lead);
  }

  #sniff(socket: Socket, caller: Caller, { lead, port }: { readonly lead: Lead; readonly port: OutboundPort }): void {
    const silent = port.targetOfConnection('') !== undefined;
    const sniffer = new Sniffer({
      socket,
      clock: this.#options.clock,
      detect: detectProtocol,
      silence: silent ? SILENCE : 0,
      patience: PATIENCE,
      onDetected: (detected: Detected, late) => {
        this.#options.found?.(findingOf(detected, late));
        if (detected.protocol === 'http1') this.#serveHttp(socket, caller, lead);
        else {
          const name = detected.protocol === 'tls' ? detected.hello.serverName : '';
          this.#serveOpaque(socket, caller, port, name);
        }
      },
      onSilent: () => {
        // Only one destination can be meant, so nothing is lost by calling it before the client speaks.
        sniffer.stop();
        this.#options.found?.('server_first');
        this.#serveOpaque(socket, caller, port, '');
      },
      onGone: () => {
        this.#options.found?.('gone');
        socket.destroy();
      },
    });
  }

  #serveHttp(socket: Socket, caller: Caller, { port }: Lead): void {
    const { engine, router, reporter, requestIds } = this.#options;
    const handler = createOutboundHttp({ port, router, reporter, requestIds, caller });
    void new HttpConnection({ socket, engine, handler });
  }

  #serveOpaque(socket: Socket, caller: Caller, port: OutboundPort, serverName: string): void {
    const target = port.targetOfConnection(serverName);
    if (target === undefined) {
      this.#refuse(socket, caller, REFUSED.noHost);
      return;
    }
    this.#routeOpaque(socket, caller, target).catch((error: unknown) => {
      this.#options.engine.logger.error('a connection could not be routed', { reason: reasonOf(error) });
      breakSocket(socket);
    });
  }

  async #routeOpaque(socket: Socket, caller: Caller, target: Target): Promise<void> {
    const route = await this.#options.router.route(target);
    if (socket.destroyed) return;
    if (route.kind === 'refused') this.#refuse(socket, caller, route);
    else this.#connect(socket, caller, route.cluster, []);
  }

  #connect(socket: Socket, caller: Caller, cluster: Cluster, tried: readonly Endpoint[]): void {
    const endpoint = tried.length === 0 ? cluster.pick() : cluster.next(tried);
    if (endpoint === undefined) {
      this.#refuse(socket, caller, unhealthy(cluster));
      return;
    }
    const called = calledAt(cluster, endpoint);
    const { clock, reporter } = this.#options;
    const onGone = (): void => attempt.cancel();
    const reader = new GrowingReader();
    const attempt = connectOpaque(endpoint, {
      clock,
      onread: reader.onread,
      onReady: (upstream) => {
        socket.off('close', onGone);
        let closed: ReturnType<OutboundReporter['tcpOpened']> | undefined;
        const relay = new TcpRelay({
          downstream: socket,
          upstream,
          reader,
          idle: this.#options.tcpIdle,
          onClose: (result) => {
            unlimit();
            closed?.(result);
          },
        });
        const unlimit = limitRelay(relay, cluster.policy.connections, clock);
        closed = reporter.tcpOpened(caller, called, relay);
      },
      onFailed: (reason, failure) => {
        socket.off('close', onGone);
        const places = [...tried, endpoint];
        const again = failure === 'UF' && places.length < MAX_ATTEMPTS && cluster.members.length > 1;
        if (again) {
          this.#connect(socket, caller, cluster, places);
          return;
        }
        const flags = failure === 'UF' ? 'UF,URX' : failure;
        reporter.tcpRefused(caller, { flags, reason, called, service: called.edge.service });
        breakSocket(socket);
      },
    });
    socket.once('close', onGone);
  }

  #refuse(socket: Socket, caller: Caller, refused: Refused): void {
    this.#options.reporter.tcpRefused(caller, {
      // Envoy's cluster for what nothing may reach is one without endpoints.
      flags: refused.flags === '-' ? 'UH' : refused.flags,
      reason: refused.reason || refused.detail,
      called: undefined,
      service: refused.service,
      cluster: refused.cluster,
    });
    breakSocket(socket);
  }
}

function calledAt(cluster: Cluster, { destination, edge, httpMetrics, tcpMetrics }: Endpoint): Called {
  return { cluster: cluster.name, destination, edge, httpMetrics, tcpMetrics };
}
