import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { listen } from '../../src/wire/listen.ts';
import { chainReader } from '../../src/wire/peer-chain.ts';
import { builtChain, connectionKey } from '../../src/wire/server-peer.ts';
import { serverSecureContext, type ServerTls } from '../../src/wire/server-secure-context.ts';
import type { OperatorAccess } from './operator-access.ts';
import type { OperatorAuthentication } from './operator-authentication.ts';
import type { OperatorApp } from './operator-app.ts';
import { createOperatorConnections } from './operator-connections.ts';

export interface OperatorPortOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly tls: ServerTls;
  readonly authenticate: OperatorAuthentication;
  readonly appFor: (access: OperatorAccess) => OperatorApp;
  readonly logger: Logger;
  /** Connections open at once; 64 if not given. */
  readonly maxConnections?: number;
  /** Milliseconds that a handshake may take, and the head of a request; 10 s if not given. */
  readonly headTimeout?: number;
}

export interface OperatorPort {
  readonly port: number;
  /**
   * Uses another certificate and other roots for handshakes from now on.
   *
   * @throws SealwrightError `tls_credentials_invalid`; then the former ones stay in use
   */
  setTls(tls: ServerTls): void;
  close(): Promise<void>;
}

/**
 * Serves the operator API over TLS to whoever reaches the port. A client certificate is welcome and not required; one
 * that our roots do not back ends the connection. Where there are too many connections, the oldest goes on which nothing
 * was allowed: strangers drop each other, and never an operator.
 *
 * @throws SealwrightError `port_in_use`, `listen_refused`, `tls_credentials_invalid`
 */
export async function serveOperatorPort(options: OperatorPortOptions): Promise<OperatorPort> {
  const { authenticate, logger, maxConnections = 64, headTimeout = 10_000 } = options;
  const connections = createOperatorConnections(maxConnections);
  const chains = new WeakMap<Socket, readonly Buffer[]>();

  const app = options.appFor({
    authenticate: async (request) => {
      const { headersDistinct, socket } = request;
      const operator = await authenticate({
        authorization: headersDistinct['authorization'] ?? [],
        peerChain: chains.get(socket),
        remoteAddress: socket.remoteAddress ?? '',
      });
      const key = connectionKey(socket) ?? '';
      return {
        name: operator.name,
        refusalOf: async (operation) => {
          const reason = await operator.refusalOf(operation);
          if (reason === undefined) connections.allow(key, operator.name);
          else connections.refuse(key);
          return reason;
        },
      };
    },
  });
  const respond = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer(
    {
      ...serverSecureContext(options.tls),
      requestCert: true,
      // The verdict is taken below: with true, who has a token and no certificate could not come in.
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: headTimeout,
      maxHeaderSize: 32_768,
      headersTimeout: headTimeout,
      requestTimeout: 3 * headTimeout,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: 15_000,
    },
    (request, response) => {
      respond(request, response).catch((error: unknown) => {
        logger.error('an operator call failed', { reason: reasonOf(error) });
        response.destroy();
      });
    },
  );
  const chainOf = chainReader(server, builtChain);
  // Before the listener by which node:https begins to read requests.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    const chain = chainOf(socket);
    if (chain.length === 0) return;
    if (socket.authorized && !socket.isSessionReused()) {
      chains.set(socket, chain);
      return;
    }
    const reason = reasonOf(socket.authorizationError);
    logger.info('an operator was refused: the roots do not back its certificate', {
      reason,
      from: socket.remoteAddress,
    });
    socket.destroy();
  });
  server.on('connection', (socket: Socket) => {
    const key = connectionKey(socket);
    if (key === undefined) socket.destroy();
    else connections.add(key, socket);
  });
  await listen(server, { host: options.host, port: options.port });
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : 0,
    setTls: (tls) => server.setSecureContext(serverSecureContext(tls)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        connections.destroyAll();
      }),
  };
}
