import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import { detectLaxly, detectTls, type Detected } from '../detect/detect-protocol.ts';
import { findingOf } from '../detect/finding.ts';
import { Sniffer } from '../detect/sniffer.ts';
import { breakSocket } from '../tcp/break-socket.ts';
import type { HttpEngine } from '../http1/http-engine.ts';
import { plaintextFacts, type ConnectionFacts } from './connection-facts.ts';
import {
  InboundConnections,
  NO_PLAINTEXT,
  type Accepted,
  type InboundConnectionsOptions,
} from './inbound-connections.ts';
import type { InboundPort, InboundServices } from './inbound-services.ts';
import { ServerFirstProbe } from './server-first-probe.ts';
import { createTlsTerminator, MESH_ALPN, type Terminated, type TlsTerminator } from './tls-terminator.ts';

export interface InboundListenerOptions extends InboundConnectionsOptions {
  /** Milliseconds after which a silent client is taken to wait for the server. Clients of HTTP and TLS speak at once. */
  readonly silence?: number;
  /** Milliseconds for the first bytes to make sense. */
  readonly patience?: number;
}

const NOTHING_SERVED = 'nothing is served at this destination any more';
const DEFAULT_SILENCE = 50;
const DEFAULT_PATIENCE = 10_000;

/**
 * Accepts inbound connections and finds out what each is: mesh mTLS, plaintext, foreign TLS; HTTP or opaque TCP. What
 * the mode does not allow is never read beyond its first bytes (invariant 4).
 */
export class InboundListener {
  readonly #clock: Clock;
  readonly #engine: HttpEngine;
  readonly #services: InboundServices;
  readonly #silence: number;
  readonly #patience: number;
  readonly #connections: InboundConnections;
  readonly #tls: TlsTerminator;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those of them that TLS reads and writes. */
  readonly #encrypted = new WeakSet<Socket>();

  constructor(options: InboundListenerOptions) {
    const { clock, engine, services, silence, patience } = options;
    this.#clock = clock;
    this.#engine = engine;
    this.#services = services;
    this.#silence = silence ?? DEFAULT_SILENCE;
    this.#patience = patience ?? DEFAULT_PATIENCE;
    this.#connections = new InboundConnections(options);
    this.#tls = createTlsTerminator({
      clock,
      identity: services.identity,
      verifyPeer: services.verifyPeer,
      http2: services.serveHttp2 !== undefined,
      gate: services.handshakes,
      logger: engine.logger,
    });
    this.#server = createServer(
      {
        allowHalfOpen: true,
        noDelay: true,
        pauseOnConnect: true,
        // A client that vanished without a word is found out; the interval is ztunnel's.
        keepAlive: true,
        keepAliveInitialDelay: 180_000,
      },
      this.#accept,
    );
  }

  /** An accept that failed leaves nothing behind; without a listener it would end the process. */
  readonly #onServerError = (error: Error): void => {
    this.#engine.logger.warn('a connection could not be accepted', { reason: reasonOf(error) });
  };

  /** Listens; resolves with the address, and rejects with what the system says. */
  listen(options: ListenOptions | { readonly fd: number }): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(options, () => {
        this.#server.off('error', reject);
        this.#server.on('error', this.#onServerError);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** How many connections are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Judges what is open anew, after a change of policies, modes or revocations. */
  recheck(): void {
    this.#connections.recheck();
  }

  /** Accepts no more; open HTTP connections end behind the request under way. Resolves when all have closed. */
  async drain(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#connections.drain();
    await closed;
    // Handshakes under way needed it till now; nobody makes a context of each new certificate for what is over.
    this.#tls.close();
  }

  /** Accepts no more and breaks what is open. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) {
      // A reset of the socket below TLS would close nothing: Node takes it for closed and leaves its descriptor open.
      if (this.#encrypted.has(socket)) socket.destroy();
      else breakSocket(socket);
    }
    this.#tls.close();
    await closed;
  }

  readonly #accept = (socket: Socket): void => {
    socket.on('error', () => {});
    const connections = this.#services.connections;
    if (connections?.take() === false) {
      this.#connections.refuse(socket, plaintextFacts(socket, undefined), 'too many connections');
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      connections?.giveBack();
      this.#sockets.delete(socket);
    });
    const port = this.#services.route(socket);
    if (port === undefined) {
      this.#connections.refuse(socket, plaintextFacts(socket, undefined), 'nothing is served at this destination');
      return;
    }
    if (port.mode === 'STRICT') this.#terminate(socket, port, '');
    else this.#sniff(socket, port, plaintextFacts(socket, port), false);
  };

  #terminate(socket: Socket, port: InboundPort, serverName: string): void {
    this.#encrypted.add(socket);
    this.#tls.terminate(
      socket,
      (terminated) => {
        // A handshake takes its time: what was served at its beginning may be gone, or spoken differently.
        const now = this.#services.route(socket);
        if (now !== undefined) {
          this.#onTerminated(socket, now, terminated, serverName);
          return;
        }
        this.#connections.refuse(terminated.socket, plaintextFacts(socket, port), NOTHING_SERVED);
      },
      (reason) => {
        this.#services.observer.onRefused(plaintextFacts(socket, port), reason);
      },
    );
  }

  #onTerminated(raw: Socket, port: InboundPort, terminated: Terminated, serverName: string): void {
    const { socket } = terminated;
    // Node tells of a record that is broken and goes on: what ends then has not ended in order.
    socket.on('error', () => socket.destroy());
    this.#services.observer.onSecured?.({ version: socket.getProtocol() ?? 'unknown', resumed: terminated.resumed });
    const sni = typeof socket.servername === 'string' ? socket.servername : serverName;
    const facts: ConnectionFacts = Object.freeze({
      // The raw socket knows the addresses already: the one of TLS would ask the system anew.
      ...plaintextFacts(raw, port),
      peer: terminated.peer,
      peerCertificate: terminated.certificate,
      self: terminated.self,
      serverName: sni,
      alpn: socket.alpnProtocol === false || socket.alpnProtocol === null ? '' : socket.alpnProtocol,
    });
    if (facts.alpn === 'h2') this.#connections.serveHttp2({ raw, socket, port, facts });
    else if (facts.alpn.startsWith('http/1.')) this.#connections.serveHttp1({ raw, socket, port, facts });
    else if (port.protocol === 'tcp') this.#connections.serveTcp({ raw, socket, port, facts }, undefined);
    else {
      socket.pause();
      this.#sniff(socket, port, facts, true, raw);
    }
  }

  #sniff(socket: Socket, port: InboundPort, facts: ConnectionFacts, secured: boolean, raw: Socket = socket): void {
    const connection: Accepted = { raw, socket, port, facts };
    let probe: ServerFirstProbe | undefined;
    /** Whether neither side has spoken. */
    let silent = true;
    const waitsForServer = port.protocol === 'auto' || port.protocol === 'tcp';
    const sniffer = new Sniffer({
      socket,
      clock: this.#clock,
      detect: port.protocol === 'tcp' ? detectTls : detectLaxly,
      silence: waitsForServer ? this.#silence : 0,
      patience: this.#patience,
      onDetected: (detected, late) => {
        silent = false;
        this.#services.observer.onFound?.(findingOf(detected, late));
        const upstream = probe?.take();
        if (!secured && detected.protocol === 'tls') {
          probe?.cancel();
          this.#onForeignOrMeshTls({ ...connection, port: this.#services.route(raw) ?? port }, detected);
          return;
        }
        const now = this.#connections.portNow(connection);
        if (now !== undefined) {
          this.#connections.serve({ ...connection, port: now }, detected, upstream);
          return;
        }
        upstream?.destroy();
        this.#connections.refuse(socket, facts, NO_PLAINTEXT);
      },
      onSilent: () => {
        // The client may be slow, so nothing is decided yet: whoever speaks first decides.
        if (this.#connections.portNow(connection) === undefined) return;
        const authorizer = this.#services.authorizer(facts);
        this.#connections.admit(authorizer, socket, ({ allowed }) => {
          if (!allowed || !silent || this.#connections.portNow(connection) === undefined) return;
          this.#services.observer.onServerFirst?.(facts);
          probe = new ServerFirstProbe(port.connect(), (upstream) => {
            sniffer.stop();
            this.#services.observer.onFound?.('server_first');
            if (this.#connections.portNow(connection) !== undefined) {
              this.#connections.serveTcp({ ...connection, authorizer }, upstream);
              return;
            }
            upstream.destroy();
            this.#connections.refuse(socket, facts, NO_PLAINTEXT);
          });
        });
      },
      onGone: () => {
        silent = false;
        this.#services.observer.onFound?.('gone');
        probe?.cancel();
        socket.destroy();
      },
    });
  }

  #onForeignOrMeshTls(connection: Accepted, detected: Detected & { protocol: 'tls' }): void {
    const { socket, port } = connection;
    const mesh = detected.hello.alpn.some((protocol) => MESH_ALPN.has(protocol));
    // The application may do TLS of its own: what does not ask for the mesh is not ours to open.
    if (port.mode === 'STRICT' || (port.mode === 'PERMISSIVE' && mesh))
      this.#terminate(socket, port, detected.hello.serverName);
    else
      this.#connections.serveTcp({
        ...connection,
        facts: { ...connection.facts, serverName: detected.hello.serverName },
      });
  }
}
