import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { bindForOwner } from '../../src/wire/bind-for-owner.ts';
import { socketAnswers } from '../../src/wire/socket-answers.ts';
import type { DecisionReport } from '../decisions/decision-log.ts';
import { isRequestId } from '../http1/request-ids.ts';
import { inTurns } from './in-turns.ts';
import { jsonInSlices } from './json-in-slices.ts';

/** sun_path of Linux holds 108 bytes with its closing zero; Node cuts a longer path silently. */
const LONGEST_SOCKET_PATH = 107;

export interface ExplainSocket {
  close(): Promise<void>;
}

export interface ExplainSocketOptions {
  /** `explain.sock` in the workload's own folder. */
  readonly path: string;
  readonly find: (requestId: string) => Promise<readonly DecisionReport[]>;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
}

/**
 * Answers `GET /decisions?id=REQUEST_ID` on a Unix socket that its owner alone can open (0600): whoever reads the
 * workload's key may read why its callers were refused. Who asks names one id; there is no list.
 * A sidecar does its work without it, so what keeps it from being there is a warning.
 */
export async function serveExplainSocket(options: ExplainSocketOptions): Promise<ExplainSocket> {
  const { path, logger } = options;
  const none: ExplainSocket = { close: async () => {} };
  const without = (reason: string): ExplainSocket => {
    logger.warn('policy explain --id cannot ask this sidecar', { socket: path, reason });
    return none;
  };
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) return without(`longer than ${LONGEST_SOCKET_PATH} bytes`);
  if (await socketAnswers(path)) return without('another sidecar is running in this folder');
  // Nobody answers, so what lies there was left behind by one that was killed.
  const left = await unlink(path).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : (error.code ?? 'it cannot be removed')),
  );
  if (left !== undefined) return without(left);

  const server = createServer({ maxHeaderSize: 4_096, requestTimeout: 5_000 }, (request, response) => {
    request.resume();
    const [route, query = ''] = (request.url ?? '').split('?', 2);
    const id = new URLSearchParams(query).get('id') ?? '';
    const known = request.method === 'GET' && route === '/decisions' && isRequestId(id);
    if (known) {
      tell(response, id, options).catch((error: unknown) => {
        logger.warn('an explanation was broken off', { reason: reasonOf(error) });
        response.destroy();
      });
      return;
    }
    const body = '{"error":"GET /decisions?id=<request id>"}';
    response.writeHead(400, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    });
    response.end(body);
  });
  server.maxConnections = 8;
  const failure = await listen(server, path);
  if (failure !== undefined) return without(failure);
  // Nobody else could connect before either; this takes the x away, which means nothing on a socket.
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Of the list of reports: report, explanation, its policies, one policy. */
const DEPTH = 4;
/** Characters that are written at once. */
const CHUNK = 65_536;

/** Asks and writes in turns: with very many policies both take a second, and requests go on meanwhile. */
async function tell(response: ServerResponse, id: string, { find, clock }: ExplainSocketOptions): Promise<void> {
  const reports = await find(id);
  response.writeHead(200, { 'content-type': 'application/json', connection: 'close' });
  let held = '';
  const write = (text: string): void => {
    held += text;
    if (held.length < CHUNK) return;
    response.write(held);
    held = '';
  };
  // Who asks is this machine's owner, and the answer is what he asked for: it is not kept back where he reads slowly.
  await inTurns(jsonInSlices(reports, DEPTH, write), clock);
  response.end(held);
}

/** Resolves with why it cannot. */
function listen(server: Server, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    bindForOwner(() => server.listen(path, () => resolve(undefined)));
  });
}
