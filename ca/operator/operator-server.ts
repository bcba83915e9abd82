import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { bindForOwner } from '../../src/wire/bind-for-owner.ts';
import { socketAnswers } from '../../src/wire/socket-answers.ts';
import type { OperatorApp } from './operator-app.ts';

/** sun_path of Linux holds 108 bytes with its closing zero; Node cuts a longer path silently. */
const LONGEST_SOCKET_PATH = 107;

export interface OperatorServer {
  close(): Promise<void>;
}

/**
 * Serves the operator API on a Unix socket that its owner alone can open (0600): whoever can write the CA's state
 * folder is its operator.
 *
 * @throws SealwrightError `operator_socket_unavailable`
 */
export async function serveOperatorSocket(options: {
  readonly path: string;
  readonly app: OperatorApp;
  readonly logger: Logger;
}): Promise<OperatorServer> {
  const { path, app, logger } = options;
  const unavailable = (reason: string, cause?: unknown): SealwrightError =>
    new SealwrightError('operator_socket_unavailable', { path, reason }, { cause });
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
    throw unavailable(`the path is longer than ${LONGEST_SOCKET_PATH} bytes`);
  if (await socketAnswers(path)) throw unavailable('another CA is running on this state folder');
  // Nobody answers, so what lies there was left behind by a CA that was killed.
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unavailable(error.code ?? 'it cannot be removed', error);
  });
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server: Server = createServer({ maxHeaderSize: 16_384 }, (request, response) => {
    listener(request, response).catch((error: unknown) => {
      logger.error('an operator call failed', { reason: reasonOf(error) });
      response.destroy();
    });
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(unavailable(error.code ?? error.message, error)));
    bindForOwner(() => server.listen(path, resolve));
  });
  // Nobody else could connect before either: this only takes away the right to execute a socket.
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
