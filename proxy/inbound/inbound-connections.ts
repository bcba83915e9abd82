import type { Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import type { Detected } from '../detect/detect-protocol.ts';
import { HttpConnection } from '../http1/http-connection.ts';
import type { HttpEngine } from '../http1/http-engine.ts';
import { breakSocket } from '../tcp/break-socket.ts';
import type { DeadlineQueue } from '../tcp/deadlines.ts';
import { GrowingReader } from '../tcp/growing-reader.ts';
import type { IdleLimit } from '../tcp/idle-limit.ts';
import { TcpRelay } from '../tcp/relay.ts';
import { DEFAULT_UPSTREAM_LIMITS } from '../upstream/upstream-limits.ts';
import type { ConnectionAuthorizer, Verdict } from './connection-authorizer.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { createInboundHttp } from './inbound-http.ts';
import type { InboundPort, InboundServices } from './inbound-services.ts';

export interface InboundConnectionsOptions {
  readonly clock: Clock;
  readonly engine: HttpEngine;
  readonly services: InboundServices;
  /** Milliseconds in which the application has to take an opaque connection; Istio's 10 s where nothing is said. */
  readonly connectTimeout?: number | undefined;
  /** For how long nothing may pass over an opaque connection; for ever where nothing is said. */
  readonly tcpIdle?: IdleLimit | undefined;
}

export const NO_PLAINTEXT = 'plaintext is not accepted any more';
const UNDECIDED: Verdict = Object.freeze({ allowed: false, detail: 'decision_timeout' });

/** A connection whose nature is known. */
export interface Accepted {
  /** As accepted; the same as `socket` in plaintext. */
  readonly raw: Socket;
  readonly socket: Socket;
  readonly port: InboundPort;
  readonly facts: ConnectionFacts;
  readonly unread?: boolean;
  /** Where it was asked for the connection before. */
  readonly authorizer?: ConnectionAuthorizer;
}

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

/** Serves the connections of one listener once it is known what they are, and judges them again when that changes. */
export class InboundConnections {
  readonly #clock: Clock;
  readonly #engine: HttpEngine;
  readonly #services: InboundServices;
  readonly #connectDeadlines: DeadlineQueue;
  readonly #tcpIdle: IdleLimit | undefined;
  readonly #served = new Set<Served>();
  #draining = false;

  constructor({ clock, engine, services, connectTimeout, tcpIdle }: InboundConnectionsOptions) {
    this.#clock = clock;
    this.#engine = engine;
    this.#services = services;
    this.#connectDeadlines = engine.deadlines.queue(connectTimeout ?? DEFAULT_UPSTREAM_LIMITS.connectTimeout);
    this.#tcpIdle = tcpIdle;
  }

  /**
   * Judges what is open anew, after a change of policies, modes or revocations: closes plaintext where it is not
   * accepted any more, peers that are not, and opaque connections that are now denied. Requests are judged one by one
   * anyway.
   */
  recheck(): void {
    for (const served of this.#served) {
      if (this.portNow(served) === undefined) {
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

  /** Those of HTTP end behind the request under way, and so do those that come. */
  drain(): void {
    this.#draining = true;
    for (const served of this.#served) served.http?.drain();
  }

  /** What is served at this moment, which a client that took its time may not have been accepted for (invariant 4). */
  portNow({ raw, facts }: Pick<Accepted, 'raw' | 'facts'>): InboundPort | undefined {
    const port = this.#services.route(raw);
    return port?.mode === 'STRICT' && facts.peer === undefined ? undefined : port;
  }

  /** Serves one of which the first bytes are known, over `upstream` where that was opened meanwhile. */
  serve(connection: Accepted, { protocol }: Detected, upstream: Socket | undefined): void {
    const declared = connection.port.protocol;
    if (declared === 'tcp' || (declared === 'auto' && (protocol === 'tcp' || protocol === 'tls'))) {
      this.serveTcp(connection, upstream);
      return;
    }
    upstream?.destroy();
    if (protocol === 'http2') this.serveHttp2(connection);
    // On a port declared as HTTP what is none is answered as bad HTTP: unread bytes must not slip by the rules.
    else this.serveHttp1(connection);
  }

  serveHttp1({ raw, socket, port, facts }: Accepted): void {
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
  serveHttp2(connection: Accepted): void {
    const { serveHttp2 } = this.#services;
    const { socket, facts, port } = connection;
    if (serveHttp2 !== undefined) serveHttp2(socket, facts, port);
    else if (port.protocol !== 'http2') this.refuse(socket, facts, 'HTTP/2 at a port that is not declared as HTTP/2');
    else this.serveTcp({ ...connection, unread: true });
  }

  serveTcp(connection: Accepted, opened?: Socket): void {
    const { socket, facts } = connection;
    const authorizer = connection.authorizer ?? this.#services.authorizer(facts);
    this.admit(authorizer, socket, (verdict) => {
      // A provider may have taken its time: what is accepted can have changed meanwhile (invariant 4).
      let refusal = connection.unread === true ? this.#services.unreadRefused?.() : undefined;
      if (this.portNow(connection) === undefined) refusal = NO_PLAINTEXT;
      else if (socket.destroyed) refusal = 'the client has gone';
      if (verdict.allowed && refusal === undefined) {
        this.#relay(connection, authorizer, opened);
      } else {
        opened?.destroy();
        this.refuse(socket, facts, verdict.allowed ? (refusal ?? '') : verdict.detail);
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
        observer.onTcpClosed(facts, result, port.upstream.destination);
      },
    });
    observer.onTcpOpened(facts, relay);
    const served: Served = { raw, facts, authorizer, relay, unread };
    this.#served.add(served);
  }

  /** Judges a connection as TCP, at once where nobody has to be asked. */
  admit(authorizer: ConnectionAuthorizer, socket: Socket, done: (verdict: Verdict) => void): void {
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

  /** Breaks one off before it is served. */
  refuse(socket: Socket, facts: ConnectionFacts, reason: string): void {
    breakSocket(socket);
    this.#services.observer.onRefused(facts, reason);
  }

  #abort(served: Served, reason: string): void {
    served.http?.abort('-', reason);
    served.relay?.abort(reason);
  }
}
