import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { Readable } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { bindForOwner } from '../../src/wire/bind-for-owner.ts';
import { socketAnswers } from '../../src/wire/socket-answers.ts';
import { OperationInput, type Actor, type Operation } from './operation.ts';

/** sun_path of Linux holds 108 bytes with its closing zero; Node cuts a longer path silently. */
const LONGEST_SOCKET_PATH = 107;

/** A CSR is the largest thing that anybody sends. */
const LARGEST_BODY = 256 * 1024;

export interface OperatorServer {
  close(): Promise<void>;
}

/** The operator API as a web application, without a socket. */
export function createOperatorApp(operations: readonly Operation[], actorOf: () => Actor, logger: Logger): Hono {
  const app = new Hono();
  const answerError = (error: unknown): Response => {
    if (error instanceof SealwrightError) {
      return Response.json({ error: error.toJSON() }, { status: error.facts.http });
    }
    logger.error('an operator call failed', { reason: reasonOf(error) });
    return Response.json({ error: { code: 'internal', message: 'the CA failed; its log says why' } }, { status: 500 });
  };
  app.onError((error) => answerError(error));
  app.notFound((context) => answerError(new SealwrightError('operator_unknown_operation', { path: context.req.path })));
  for (const operation of operations) {
    app.on(
      operation.method,
      operation.path,
      bodyLimit({
        maxSize: LARGEST_BODY,
        onError: () => answerError(new SealwrightError('operator_input_invalid', { reason: 'the body is too large' })),
      }),
      async (context) => {
        const actor = actorOf();
        if (operation.role === 'operator' && actor.role !== 'operator') {
          throw new SealwrightError('operator_forbidden', { operation: operation.name, role: operation.role });
        }
        const fields = operation.method === 'GET' ? context.req.query() : parseBody(await context.req.text());
        const result = await operation.run(new OperationInput(fields), actor);
        return isLines(result) ? lines(result, answerError) : Response.json(result);
      },
    );
  }
  return app;
}

/**
 * Serves the operator API on a Unix socket that its owner alone can open (0600): whoever can write the CA's state
 * folder is its operator.
 *
 * @throws SealwrightError `operator_socket_unavailable`
 */
export async function serveOperatorSocket(options: {
  readonly path: string;
  readonly app: Hono;
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

function parseBody(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = text === '' ? {} : JSON.parse(text);
  } catch {
    throw new SealwrightError('operator_input_invalid', { reason: 'the body is not JSON' });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SealwrightError('operator_input_invalid', { reason: 'the body is not a JSON object' });
  }
  return { ...value };
}

function isLines(value: unknown): value is AsyncIterable<string> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/**
 * Newline-delimited text. The last line says how it ended, `{"end":true}` or `{"error":…}`, so that an answer that broke
 * off can never be taken for a short one.
 */
function lines(source: AsyncIterable<string>, answerError: (error: unknown) => Response): Response {
  const text = async function* (): AsyncGenerator<Buffer> {
    let last = '{"end":true}';
    try {
      for await (const line of source) yield Buffer.from(`${line}\n`);
    } catch (error) {
      last = await answerError(error).text();
    }
    yield Buffer.from(`${last}\n`);
  };
  const body = Readable.toWeb(Readable.from(text(), { objectMode: false }));
  return new Response(body as ReadableStream, { headers: { 'content-type': 'application/x-ndjson' } });
}
