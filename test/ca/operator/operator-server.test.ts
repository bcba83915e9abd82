import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Actor, Operation } from '../../../ca/operator/operation.ts';
import { operatorOfRole } from '../../../ca/operator/operator-access.ts';
import { createOperatorApp, type ForbiddenOperation, type OperatorApp } from '../../../ca/operator/operator-app.ts';
import { serveOperatorSocket, type OperatorServer } from '../../../ca/operator/operator-server.ts';
import { OperatorClient } from '../../../src/cli/operator-client.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const operations: Operation[] = [
  {
    name: 'echo',
    method: 'POST',
    path: '/v1/echo',
    role: 'operator',
    summary: 'Says it again.',
    run: async (input, actor) => ({
      said: input.requiredText('say'),
      count: input.wholeNumber('count'),
      by: actor.name,
    }),
  },
  {
    name: 'count',
    method: 'GET',
    path: '/v1/count',
    role: 'viewer',
    summary: 'Counts.',
    run: async (input) => counting(input.wholeNumber('to') ?? 0),
  },
  {
    name: 'break',
    method: 'GET',
    path: '/v1/break',
    role: 'viewer',
    summary: 'Fails.',
    run: async () => {
      throw new Error('a detail that no caller may see');
    },
  },
];

async function* counting(to: number): AsyncGenerator<string> {
  for (let i = 0; i < to; i += 1) {
    if (i === 5_000) throw new Error('the disk is gone');
    yield String(i);
  }
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof SealwrightError && error.code === code && text.test(error.message);

describe('the operator API', () => {
  const logger = new RecordingLogger();
  let server: OperatorServer | undefined;
  let path: string;
  let client: OperatorClient;
  let actor: Actor;
  let forbidden: ForbiddenOperation[];

  const app = (): OperatorApp => {
    const access = { authenticate: async () => operatorOfRole(actor.name, actor.role) };
    return createOperatorApp({ operations, access, onForbidden: (one) => forbidden.push(one), logger });
  };

  beforeEach(async function () {
    forbidden = [];
    path = join(temporaryFolder(this), 'operator.sock');
    actor = { name: 'socket:uid=7', role: 'operator' };
    server = await serveOperatorSocket({ path, app: app(), logger });
    client = new OperatorClient(path);
  });
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });

  it('runs an operation for the actor who asked, on a socket that only its owner can open', async () => {
    assert.deepEqual(await client.post('/v1/echo', { say: 'hello', count: 3 }), {
      said: 'hello',
      count: 3,
      by: 'socket:uid=7',
    });
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('refuses a viewer what only an operator may do', async () => {
    actor = { name: 'viewer', role: 'viewer' };
    await assert.rejects(client.post('/v1/echo', { say: 'x' }), failsWith('operator_refused', /operators/));
    assert.deepEqual(forbidden, [{ actor: 'viewer', operation: 'echo', reason: 'its role is viewer' }]);
    assert.deepEqual(await collect(client.lines('/v1/count', { to: 2 })), ['0', '1']);
  });

  it('names the field that is wrong', async () => {
    await assert.rejects(client.post('/v1/echo', {}), failsWith('operator_refused', /say/));
    await assert.rejects(client.post('/v1/echo', { say: 5 }), failsWith('operator_refused', /must be text/));
    await assert.rejects(
      client.post('/v1/echo', { say: 'x', count: -1 }),
      failsWith('operator_refused', /whole number/),
    );
    await assert.rejects(
      client.post('/v1/echo', { say: 'x'.repeat(300_000) }),
      failsWith('operator_refused', /too large/),
    );
    await assert.rejects(client.get('/v1/nothing'), failsWith('operator_refused', /no such operation/));
  });

  it('tells a caller nothing of an unexpected failure, and the log all of it', async () => {
    await assert.rejects(client.get('/v1/break'), (error) => error instanceof Error && !/detail/.test(error.message));
    assert.match(logger.text, /a detail that no caller may see/);
  });

  it('streams a long answer, and one that breaks off is an error and no short list', async () => {
    assert.equal((await collect(client.lines('/v1/count', { to: 4_000 }))).length, 4_000);
    await assert.rejects(
      collect(client.lines('/v1/count', { to: 100_000 })),
      failsWith('operator_refused', /log says why/),
    );
  });

  it('says that no CA is running', async () => {
    await server?.close();
    server = undefined;
    await assert.rejects(client.get('/v1/count'), failsWith('operator_unreachable', /ENOENT.*start it with/));
  });

  it('refuses a second CA on the same state folder, and leaves the first one answering', async () => {
    await assert.rejects(
      serveOperatorSocket({ path, app: app(), logger }),
      failsWith('operator_socket_unavailable', /another CA is running/),
    );
    assert.deepEqual(await client.post('/v1/echo', { say: 'still here' }), { said: 'still here', by: 'socket:uid=7' });
  });

  it('takes over the socket of a CA that was killed', async function () {
    const left = join(temporaryFolder(this), 'left.sock');
    const script = `require('node:net').createServer().listen(${JSON.stringify(left)}, () => console.log('up'))`;
    const killed = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(killed.stdout, 'data');
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    assert.ok(existsSync(left));
    const second = await serveOperatorSocket({
      path: left,
      app: app(),
      logger,
    });
    await second.close();
  });

  it('says that the path is too long for a socket', async function () {
    const long = join(temporaryFolder(this), 'x'.repeat(100), 'operator.sock');
    await assert.rejects(
      serveOperatorSocket({ path: long, app: app(), logger }),
      failsWith('operator_socket_unavailable', /longer than 107/),
    );
  });
});
