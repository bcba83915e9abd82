import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';

export interface StatusAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

/**
 * `/path`, which is got, or `POST /path`, to its answer. A route that throws answers 500 and is logged. The body of a
 * request is not read.
 */
export type StatusRoutes = Readonly<Record<string, StatusRoute>>;

type StatusRoute = (request: IncomingMessage) => StatusAnswer | Promise<StatusAnswer>;

export interface StatusServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * A small HTTP server for metrics and health. It reads no body, keeps few connections and shares nothing with the
 * ports that do the work, so that a scrape or a probe is answered while those are busy.
 *
 * @throws SealwrightError `status_port_unavailable`
 */
export async function serveStatus(options: {
  readonly host: string;
  readonly port: number;
  readonly routes: StatusRoutes;
  readonly logger: Logger;
}): Promise<StatusServer> {
  const { host, port, routes, logger } = options;
  const server = createServer(
    { maxHeaderSize: 8_192, requestTimeout: 10_000, headersTimeout: 5_000 },
    (request, response) => {
      void answer(routes, request, response, logger);
    },
  );
  server.maxConnections = 128;
  server.keepAliveTimeout = 30_000;
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  routes: StatusRoutes,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  const path = request.url?.split('?', 1)[0] ?? '';
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
  const routeOf = (key: string): StatusRoute | undefined => (Object.hasOwn(routes, key) ? routes[key] : undefined);
  const route = routeOf(method === 'GET' ? path : `${method} ${path}`);
  let result: StatusAnswer;
  try {
    if (route !== undefined) result = await route(request);
    else if (routeOf(path) !== undefined) result = { status: 405, body: 'use GET\n' };
    else if (routeOf(`POST ${path}`) !== undefined) result = { status: 405, body: 'use POST\n' };
    else result = { status: 404, body: `not found; there is ${Object.keys(routes).join(', ')}\n` };
  } catch (error) {
    logger.error('a status page failed', { path, reason: reasonOf(error) });
    result = { status: 500, body: 'failed; the log says why\n' };
  }
  response.writeHead(result.status, {
    'content-type': result.contentType ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(result.body),
  });
  response.end(request.method === 'HEAD' ? undefined : result.body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new SealwrightError('status_port_unavailable', { address: `${host}:${port}`, reason: cause.code }, { cause }),
      );
    });
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}
