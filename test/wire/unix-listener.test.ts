import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { Server } from 'node:net';
import { join } from 'node:path';
import { ownerAccess } from '../../ca/operator/operator-access.ts';
import { createOperatorApp } from '../../ca/operator/operator-app.ts';
import { serveOperatorSocket } from '../../ca/operator/operator-server.ts';
import { openChannel } from '../../src/wire/grpc-client.ts';
import { GrpcServer } from '../../src/wire/grpc-server.ts';
import { implementService } from '../../src/wire/grpc-service.ts';
import type { ServerPeer } from '../../src/wire/server-peer.ts';
import { IstioCertificateService } from '../../src/wire/services.ts';
import { listenUnix } from '../../src/wire/unix-listener.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';

describe('the Unix listener', () => {
  let peers: ServerPeer[];
  let server: GrpcServer;
  let path: string;

  beforeEach(function () {
    peers = [];
    const ca = implementService(IstioCertificateService, {
      createCertificate: async (_, call) => {
        peers.push(call.peer);
        return { certChain: ['x'] };
      },
    });
    server = new GrpcServer({ services: [ca], clock: realClock, logger: new RecordingLogger() });
    path = join(temporaryFolder(this), 'api.sock');
  });
  afterEach(() => server.stop(0));

  const call = async (): Promise<void> => {
    const channel = openChannel({ address: `unix:${path}`, clock: realClock });
    await channel.unary(IstioCertificateService.method.createCertificate, {});
    channel.close();
  };

  it('serves without TLS and takes nobody for authenticated', async () => {
    const listener = await listenUnix({ server, path, access: 'owner' });
    await call();
    assert.deepEqual(peers, [{ transport: 'unix', remoteAddress: '', remotePort: 0, chain: undefined }]);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    listener.close();
  });

  it('is never there for anybody but its owner, whatever the umask is', async () => {
    const modes: number[] = [];
    // oxlint-disable-next-line typescript/unbound-method -- called with its own `this`, and put back
    const { listen } = Server.prototype;
    const former = process.umask(0);
    // What another process sees that waits for the socket: it is bound when Node's own call returns.
    Server.prototype.listen = function (this: Server, ...args: Parameters<typeof listen>) {
      const answer = listen.apply(this, args);
      modes.push(statSync(path).mode & 0o077);
      return answer;
    } as typeof listen;
    try {
      for (const access of ['owner', 'everyone'] as const) (await listenUnix({ server, path, access })).close();
      const operator = await serveOperatorSocket({
        path,
        app: createOperatorApp({
          operations: [],
          access: ownerAccess('x'),
          onForbidden: () => undefined,
          logger: new RecordingLogger(),
        }),
        logger: new RecordingLogger(),
      });
      await operator.close();
      assert.equal(process.umask(), 0);
    } finally {
      Server.prototype.listen = listen;
      process.umask(former);
    }
    assert.deepEqual(modes, [0, 0, 0]);
  });

  it('lets everyone in only where that was asked for', async () => {
    const listener = await listenUnix({ server, path, access: 'everyone' });
    assert.equal(statSync(path).mode & 0o777, 0o666);
    listener.close();
    assert.equal(existsSync(path), false);
  });

  it('takes over a socket that a killed process left behind', async () => {
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    assert.equal(statSync(path).isSocket(), true);
    const listener = await listenUnix({ server, path, access: 'owner' });
    await call();
    listener.close();
  });

  it('takes neither a living socket nor a file that is none', async () => {
    const listener = await listenUnix({ server, path, access: 'owner' });
    await assert.rejects(listenUnix({ server, path, access: 'owner' }), { code: 'port_in_use' });
    await call();
    listener.close();
    writeFileSync(path, 'precious');
    await assert.rejects(listenUnix({ server, path, access: 'owner' }), { code: 'port_in_use' });
    assert.equal(statSync(path).size, 8);
  });
});
