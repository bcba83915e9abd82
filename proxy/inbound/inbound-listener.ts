import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import { HttpConnection } from '../http1/http-connection.ts';
import type { HttpEngine } from '../http1/http-engine.ts';
import type { DeadlineQueue } from '../tcp/deadlines.ts';
import { GrowingReader } from '../tcp/growing-reader.ts';
import { breakSocket } from '../tcp/break-socket.ts';
import type { IdleLimit } from '../tcp/idle-limit.ts';
import { TcpRelay } from '../tcp/relay.ts';
import { DEFAULT_UPSTREAM_LIMITS } from '../upstream/upstream-limits.ts';
import type { ConnectionAuthorizer, Verdict } from './connection-authorizer.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { detectLaxly, detectTls, type Detected } from './detect-protocol.ts';
import { findingOf } from './finding.ts';
import { createInboundHttp } from './inbound-http.ts';
import type { InboundPort, InboundServices } from './inbound-services.ts';
import { ServerFirstProbe } from './server-first-probe.ts';
import { Sniffer } from './sniffer.ts';
import { createTlsTerminator, MESH_ALPN, type Terminated, type TlsTerminator } from './tls-terminator.ts';

export interface InboundListenerOptions {
  readonly clock: Clock;
  readonly engine: HttpEngine;
  readonly services: InboundServices;
  /** Milliseconds after which a silent client is taken to wait for the server. Clients of HTTP and TLS speak at once. */
  readonly silence?: number;
  /** Milliseconds for the first bytes to make sense. */
  readonly patience?: number;
  /** Milliseconds in which the application has to take an opaque connection; Istio's 10 s where nothing is said. */
  readonly connectTimeout?: number;
  /** For how long nothing may pass over an opaque connection; for ever where nothing is said. */
  readonly tcpIdle?: IdleLimit | undefined;
}

const NOTHING_SERVED = 'nothing is served at this destination any more';
const NO_PLAINTEXT = 'plaintext is not accepted any more';
const UNDECIDED: Verdict = Object.freeze({ allowed: false, detail: 'decision_timeout' });
const DEFAULT_SILENCE = 50;
const DEFAULT_PATIENCE = 10_000;

/** A connection being served, for re-checks and drain. */
interface Served {
  readonly raw: Socket;
  readonly facts: ConnectionFacts;
  readonly authorizer: ConnectionAuthorizer;
  readonly http?: HttpConnection;
  readonly relay?: TcpRelay;
  /** Whether it is HTTP/2 that passes as TCP. */
  readonly unread?: boolean | undefined;
}

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
  readonly #connectDeadlines: DeadlineQueue;
  readonly #tcpIdle: IdleLimit | undefined;
  readonly #tls: TlsTerminator;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those of them that TLS reads and writes. */
  readonly #encrypted = new WeakSet<Socket>();
  readonly #served = new Set<Served>();
  #draining = false;

  constructor({ clock, engine, services, silence, patience, connectTimeout, tcpIdle }: InboundListenerOptions) {
    this.#clock = clock;
    this.#engine = engine;
    this.#services = services;
    this.#silence = silence ?? DEFAULT_SILENCE;
    this.#patience = patience ?? DEFAULT_PATIENCE;
    this.#connectDeadlines = engine.deadlines.queue(connectTimeout ?? DEFAULT_UPSTREAM_LIMITS.connectTimeout);
    this.#tcpIdle = tcpIdle;
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

  /**
   * Judges what is open anew, after a change of policies, modes or revocations: closes plaintext where it is not
   * accepted any more, peers that are not, and opaque connections that are now denied. Requests are judged one by one
   * anyway.
   */
  recheck(): void {
    for (const served of this.#served) {
      if (this.#portNow(served) === undefined) {
        this.#abort(served, NO_PLAINTEXT);
        continue;
      }
      const refusal = served.facts.peer === undefined ? undefined : this.#services.peerRefused?.(served.facts);
      if (refusal !== undefined) {
        this.#abort(served, refusal);
        continue;
      }
      const opaque = served.relay !== undefined || served.http?.tunnelling === true;
      if (!opaque) continue;
      const verdict = served.authorizer.decideConnection();
      const unread = served.unread === true ? this.#services.unreadRefused?.() : undefined;
      if (!verdict.allowed) this.#abort(served, verdict.detail);
      else if (unread !== undefined) this.#abort(served, unread);
    }
  }

  /** Accepts no more; open HTTP connections end behind the request under way. Resolves when all have closed. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const served of this.#served) served.http?.drain();
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
      this.#refuse(socket, plaintextFacts(socket, undefined), 'too many connections');
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      connections?.giveBack();
      this.#sockets.delete(socket);
    });
    const port = this.#services.route(socket);
    if (port === undefined) {
      this.#refuse(socket, plaintextFacts(socket, undefined), 'nothing is served at this destination');
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
        this.#refuse(terminated.socket, plaintextFacts(socket, port), NOTHING_SERVED);
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
    if (facts.alpn === 'h2') this.#serveHttp2({ raw, socket, port, facts });
    else if (facts.alpn.startsWith('http/1.')) this.#serveHttp1({ raw, socket, port, facts });
    else if (port.protocol === 'tcp') this.#serveTcp({ raw, socket, port, facts }, undefined);
    else {
      socket.pause();
      this.#sniff(socket, port, facts, true, raw);
    }
  }

  /** What is served at this moment, which a client that took its time may not have been accepted for (invariant 4). */
  #portNow({ raw, facts }: Pick<Accepted, 'raw' | 'facts'>): InboundPort | undefined {
    const port = this.#services.route(raw);
    return port?.mode === 'STRICT' && facts.peer === undefined ? undefined : port;
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
        const now = this.#portNow(connection);
        if (now !== undefined) {
          this.#serve({ ...connection, port: now }, detected, upstream);
          return;
        }
        upstream?.destroy();
        this.#refuse(socket, facts, NO_PLAINTEXT);
      },
      onSilent: () => {
        // The client may be slow, so nothing is decided yet: whoever speaks first decides.
        if (this.#portNow(connection) === undefined) return;
        const authorizer = this.#services.authorizer(facts);
        this.#admit(authorizer, socket, ({ allowed }) => {
          if (!allowed || !silent || this.#portNow(connection) === undefined) return;
          this.#services.observer.onServerFirst?.(facts);
          probe = new ServerFirstProbe(port.connect(), (upstream) => {
            sniffer.stop();
            this.#services.observer.onFound?.('server_first');
            if (this.#portNow(connection) !== undefined) {
              this.#serveTcp({ ...connection, authorizer }, upstream);
              return;
            }
            upstream.destroy();
            this.#refuse(socket, facts, NO_PLAINTEXT);
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
    else this.#serveTcp({ ...connection, facts: { ...connection.facts, serverName: detected.hello.serverName } });
  }

  #serve(connection: Accepted, { protocol }: Detected, upstream: Socket | undefined): void {
    const declared = connection.port.protocol;
    if (declared === 'tcp' || (declared === 'auto' && (protocol === 'tcp' || protocol === 'tls'))) {
      this.#serveTcp(connection, upstream);
      return;
    }
    upstream?.destroy();
    if (protocol === 'http2') this.#serveHttp2(connection);
    // On a port declared as HTTP what is none is answered as bad HTTP: unread bytes must not slip by the rules.
    else this.#serveHttp1(connection);
  }

  #serveHttp1({ raw, socket, port, facts }: Accepted): void {
    const authorizer = this.#services.authorizer(facts);
    const { normalizePath, requestIds, observer } = this.#services;
    const handler = createInboundHttp({
      facts,
      authorizer,
      upstream: port.upstream,
      normalizePath,
      requestIds,
      onHead: observer.onHead?.bind(observer),
      onComplete: (record) => observer.onRequest(record, facts),
    });
    const http = new HttpConnection({
      socket,
      engine: this.#engine,
      handler,
      onClose: () => this.#served.delete(served),
      draining: this.#draining,
    });
    const served: Served = { raw, facts, authorizer, http };
    this.#served.add(served);
  }

  /**
   * HTTP/2 that is not read is TCP: rules about requests never allow it, and those that deny some deny it all. Fields in
   * it are the peer's word, so it passes only where the port was declared for it: there the application has never had
   * our `x-forwarded-client-cert`, and cannot take a peer's for it (invariant 6).
   */
  #serveHttp2(connection: Accepted): void {
    const { serveHttp2 } = this.#services;
    const { socket, facts, port } = connection;
    if (serveHttp2 !== undefined) serveHttp2(socket, facts, port);
    else if (port.protocol !== 'http2') this.#refuse(socket, facts, 'HTTP/2 at a port that is not declared as HTTP/2');
    else this.#serveTcp({ ...connection, unread: true });
  }

  #serveTcp(connection: Accepted, opened?: Socket): void {
    const { socket, facts } = connection;
    const authorizer = connection.authorizer ?? this.#services.authorizer(facts);
    this.#admit(authorizer, socket, (verdict) => {
      // A provider may have taken its time: what is accepted can have changed meanwhile (invariant 4).
      let refusal = connection.unread === true ? this.#services.unreadRefused?.() : undefined;
      if (this.#portNow(connection) === undefined) refusal = NO_PLAINTEXT;
      else if (socket.destroyed) refusal = 'the client has gone';
      if (verdict.allowed && refusal === undefined) {
        this.#relay(connection, authorizer, opened);
      } else {
        opened?.destroy();
        this.#refuse(socket, facts, verdict.allowed ? (refusal ?? '') : verdict.detail);
      }
    });
  }

  #relay({ raw, socket, port, facts, unread }: Accepted, authorizer: ConnectionAuthorizer, opened?: Socket): void {
    const { observer } = this.#services;
    // What was opened to hear whether it speaks first is read as it was begun.
    const reader = opened === undefined ? new GrowingReader() : undefined;
    const relay = new TcpRelay({
      downstream: socket,
      upstream: opened ?? port.connect(reader?.onread),
      reader,
      connect: this.#connectDeadlines,
      idle: this.#tcpIdle,
      onClose: (result) => {
        this.#served.delete(served);
        observer.onTcpClosed(facts, result);
      },
    });
    observer.onTcpOpened(facts, relay);
    const served: Served = { raw, facts, authorizer, relay, unread };
    this.#served.add(served);
  }

  /** Judges a connection as TCP, at once where nobody has to be asked. */
  #admit(authorizer: ConnectionAuthorizer, socket: Socket, done: (verdict: Verdict) => void): void {
    const verdict = authorizer.admitConnection({ onGone: (listener) => socket.once('close', listener) });
    if (!(verdict instanceof Promise)) {
      done(verdict);
      return;
    }
    const late = Promise.withResolvers<Verdict>();
    const timer = this.#clock.after(this.#engine.limits.decisionTimeout, () => late.resolve(UNDECIDED));
    const wait = async (): Promise<void> => {
      const decided = await Promise.race([verdict, late.promise]);
      timer.cancel();
      done(decided);
    };
    void wait();
  }

  #refuse(socket: Socket, facts: ConnectionFacts, reason: string): void {
    breakSocket(socket);
    this.#services.observer.onRefused(facts, reason);
  }

  #abort(served: Served, reason: string): void {
    served.http?.abort('-', reason);
    served.relay?.abort(reason);
  }
}

/** A connection whose nature is known. */
interface Accepted {
  /** As accepted; the same as `socket` in plaintext. */
  readonly raw: Socket;
  readonly socket: Socket;
  readonly port: InboundPort;
  readonly facts: ConnectionFacts;
  readonly unread?: boolean;
  /** Where it was asked for the connection before. */
  readonly authorizer?: ConnectionAuthorizer;
}

function plaintextFacts(socket: Socket, port: InboundPort | undefined): ConnectionFacts {
  return Object.freeze({
    peer: undefined,
    peerCertificate: undefined,
    self: undefined,
    serverName: '',
    alpn: '',
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    destinationAddress: port?.address ?? socket.localAddress ?? '',
    destinationPort: port?.port ?? socket.localPort ?? 0,
  });
}
