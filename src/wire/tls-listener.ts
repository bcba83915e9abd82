import type { Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { createServer as createTlsServer } from 'node:tls';
import { reasonOf } from '../core/errors.ts';
import type { GrpcServer } from './grpc-server.ts';
import type { Listener } from './listen.ts';
import { listen } from './listen.ts';
import { chainReader } from './peer-chain.ts';
import { builtChain, connectionKey, tlsPeer } from './server-peer.ts';
import { serverSecureContext, type ServerTls } from './server-secure-context.ts';

/** Why a connection was closed before its first call. */
export type RefusedConnection =
  /** The handshake failed, was given up, or took too long. */
  | 'handshake_failed'
  /** More handshakes were under way than allowed, and this one was the oldest. */
  | 'handshake_evicted'
  /** The client does not speak HTTP/2 by ALPN. */
  | 'no_http2'
  /** The client's certificate does not chain to our roots, or is expired. */
  | 'certificate_unauthorized'
  /** More connections than allowed. */
  | 'too_many_connections';

export interface TlsListenerOptions {
  readonly server: GrpcServer;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly tls: ServerTls;
  /** Connections open at once; further ones are closed unread. Default 10 000. */
  readonly maxConnections?: number;
  /**
   * Handshakes under way at once. Beyond it the oldest is dropped, not the newest refused: an honest handshake takes
   * milliseconds, so that those who open and stay silent drop each other. Default 1024.
   */
  readonly maxHandshakes?: number;
  /** How long a handshake may take, in milliseconds. Default 10 s. */
  readonly handshakeTimeout?: number;
  /** Counts connections that never got to a call. `detail` is for a log at debug level: strangers cause it. */
  readonly onRefused?: (why: RefusedConnection, detail: { remoteAddress: string; reason: string }) => void;
}

export interface TlsListener extends Listener {
  /**
   * Uses another certificate and other roots for handshakes from now on; open connections go on.
   *
   * @throws SealwrightError `tls_credentials_invalid`; then the former ones stay in use
   */
  setTls(tls: ServerTls): void;
}

/**
 * Serves gRPC over TLS where a client certificate is welcome and not required: a token in the call can do instead.
 * A client that shows a certificate which our roots do not back is not taken for one without: its connection is closed.
 *
 * @throws SealwrightError `port_in_use`, `listen_refused`, `tls_credentials_invalid`
 */
export async function listenTls(options: TlsListenerOptions): Promise<TlsListener> {
  const { server, host, onRefused } = options;
  const maxHandshakes = options.maxHandshakes ?? 1024;
  const handshakes = new Map<string, Socket>();

  const tlsServer = createTlsServer({
    ...serverSecureContext(options.tls),
    requestCert: true,
    // The verdict is taken in `admit`: with true, a client without a certificate could not come in with its token.
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: options.handshakeTimeout ?? 10_000,
  });
  const chainOf = chainReader(tlsServer, builtChain);

  const refuse = (socket: Socket, why: RefusedConnection, reason: string): void => {
    onRefused?.(why, { remoteAddress: socket.remoteAddress ?? '', reason });
    socket.destroy();
  };

  const admit = (socket: TLSSocket): void => {
    // An eviction or a close that raced with the end of the handshake.
    if (!handshakes.delete(connectionKey(socket) ?? '')) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol !== 'h2') return refuse(socket, 'no_http2', String(socket.alpnProtocol));
    // Tickets are off (see serverSecureContext); a resumption would skip the judgement of the certificate.
    if (socket.isSessionReused()) return refuse(socket, 'handshake_failed', 'resumed session');
    const chain = chainOf(socket);
    const gaveCertificate = chain.length > 0;
    if (gaveCertificate && !socket.authorized) {
      return refuse(socket, 'certificate_unauthorized', reasonOf(socket.authorizationError));
    }
    server.accept(socket, tlsPeer(socket, gaveCertificate ? chain : undefined));
  };
  tlsServer.on('secureConnection', admit);
  tlsServer.on('tlsClientError', (error, socket) => refuse(socket, 'handshake_failed', reasonOf(error)));

  const listener = createTcpServer({ noDelay: true }, (socket) => {
    const key = connectionKey(socket);
    if (key === undefined) {
      socket.destroy();
      return;
    }
    for (const [oldestKey, oldest] of handshakes) {
      if (handshakes.size < maxHandshakes) break;
      handshakes.delete(oldestKey);
      refuse(oldest, 'handshake_evicted', `${maxHandshakes} handshakes under way`);
    }
    handshakes.set(key, socket);
    socket.once('close', () => {
      if (handshakes.get(key) === socket) handshakes.delete(key);
    });
    tlsServer.emit('connection', socket);
  });
  listener.maxConnections = options.maxConnections ?? 10_000;
  listener.on('drop', (dropped) =>
    onRefused?.('too_many_connections', { remoteAddress: dropped?.remoteAddress ?? '', reason: '' }),
  );
  await listen(listener, { host, port: options.port });

  const bound = listener.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    setTls: (tls) => tlsServer.setSecureContext(serverSecureContext(tls)),
    close: () => {
      for (const socket of handshakes.values()) socket.destroy();
      listener.close();
    },
  };
}
