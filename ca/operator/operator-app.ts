import type { IncomingMessage } from 'node:http';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { answerLines, isLines } from './answer-lines.ts';
import { OperationInput, type Operation } from './operation.ts';
import type { OperatorAccess, ProvenOperator } from './operator-access.ts';

/** A CSR is the largest thing that anybody sends. */
const LARGEST_BODY = 256 * 1024;

export interface OperatorEnvironment {
  // What @hono/node-server hands on of each request.
  readonly Bindings: { readonly incoming: IncomingMessage };
  readonly Variables: { operator: ProvenOperator };
}

export type OperatorApp = Hono<OperatorEnvironment>;

/** Somebody proven who may not do what was asked for. */
export interface ForbiddenOperation {
  readonly actor: string;
  readonly operation: string;
  readonly reason: string;
}

export interface OperatorAppOptions {
  readonly operations: readonly Operation[];
  readonly access: OperatorAccess;
  readonly onForbidden: (forbidden: ForbiddenOperation) => void;
  readonly logger: Logger;
}

/**
 * The operator API as a web application, without a socket. Who asks is found out first, whatever was asked for: a
 * stranger gets one answer to everything, and nothing that was sent along is read.
 */
export function createOperatorApp({ operations, access, onForbidden, logger }: OperatorAppOptions): OperatorApp {
  const app: OperatorApp = new Hono();
  const answerError = (error: unknown): Response => {
    if (error instanceof SealwrightError) {
      const response = Response.json({ error: error.toJSON() }, { status: error.facts.http });
      // What a stranger goes on to send is not read, and who has no role holds no connection.
      if (error.code === 'operator_unauthenticated' || error.code === 'operator_forbidden') {
        response.headers.set('connection', 'close');
      }
      return response;
    }
    logger.error('an operator call failed', { reason: reasonOf(error) });
    return Response.json({ error: { code: 'internal', message: 'the CA failed; its log says why' } }, { status: 500 });
  };
  app.onError((error) => answerError(error));
  app.use('*', async (context, next) => {
    context.set('operator', await access.authenticate(context.env.incoming));
    await next();
    // Answers hold names and certificates, for whoever asked alone.
    context.header('cache-control', 'no-store');
  });
  app.notFound((context) => answerError(new SealwrightError('operator_unknown_operation', { path: context.req.path })));
  for (const operation of operations) {
    app.on(
      operation.method,
      operation.path,
      async (context, next) => {
        const operator = context.get('operator');
        const reason = await operator.refusalOf(operation);
        if (reason === undefined) return next();
        onForbidden({ actor: operator.name, operation: operation.name, reason });
        throw new SealwrightError('operator_forbidden', { operation: operation.name, role: operation.role });
      },
      bodyLimit({
        maxSize: LARGEST_BODY,
        onError: () => answerError(new SealwrightError('operator_input_invalid', { reason: 'the body is too large' })),
      }),
      async (context) => {
        const { name } = context.get('operator');
        const fields = operation.method === 'GET' ? context.req.query() : await bodyOf(context.req);
        const result = await operation.run(new OperationInput(fields), { name, role: operation.role });
        return isLines(result) ? answerLines(result, answerError) : Response.json(result);
      },
    );
  }
  return app;
}

async function bodyOf(request: {
  header(name: string): string | undefined;
  text(): Promise<string>;
}): Promise<Record<string, unknown>> {
  // A web page can send any other type to another site without being asked, with the certificate of a browser.
  if (!/^application\/json\s*(?:;|$)/i.test(request.header('content-type') ?? '')) {
    throw new SealwrightError('operator_input_invalid', { reason: 'the body is not of type application/json' });
  }
  let value: unknown;
  const text = await request.text();
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
