import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { SealwrightError } from '../../src/core/errors.ts';
import { parseChannelTarget } from '../../src/wire/channel-target.ts';
import { openChannel } from '../../src/wire/grpc-client.ts';
import { Health } from '../../src/wire/gen/grpc/health/v1/health_pb.ts';
import { implementService } from '../../src/wire/grpc-service.ts';
import { IstioCertificateService } from '../../src/wire/services.ts';
import { createTestAuthority } from './certificates.ts';
import type { Harness } from './grpc-harness.ts';
import { startHarness } from './grpc-harness.ts';
import { realClock } from '../fakes/real-clock.ts';

const { createCertificate } = IstioCertificateService.method;

describe('a gRPC channel', () => {
  let harness: Harness;
  let hold: Promise<void> | undefined;
  let entered: (() => void) | undefined;
  before(async () => {
    const ca = implementService(IstioCertificateService, {
      createCertificate: async () => {
        entered?.();
        await hold;
        return { certChain: ['x'] };
      },
    });
    harness = await startHarness({ services: [ca] });
  });
  after(() => harness.close());

  it('checks the name that was asked for, whether a DNS name or an IP address', async () => {
    const { port } = harness.listener;
    for (const [address, serverName] of [
      [`127.0.0.1:${port}`, undefined],
      [`localhost:${port}`, undefined],
      [`127.0.0.1:${port}`, 'sealwright-ca.test'],
      [`localhost:${port}`, '127.0.0.1'],
    ] as const) {
      const channel = harness.channel({ address, ...(serverName === undefined ? {} : { serverName }) });
      assert.deepEqual((await channel.unary(createCertificate, {})).certChain, ['x']);
    }
    for (const serverName of ['other.test', '127.0.0.9']) {
      const refused = harness.channel({ serverName }).unary(createCertificate, {}, { timeout: 5_000 });
      await assert.rejects(refused, { code: 'ca_unreachable' });
    }
  });

  it('trusts no server that the given root does not back', async () => {
    const { root } = await createTestAuthority();
    await assert.rejects(harness.channel({ roots: root }).unary(createCertificate, {}, { timeout: 5_000 }), (error) => {
      assert.ok(error instanceof SealwrightError);
      assert.equal(error.code, 'ca_unreachable');
      assert.match(error.message, /certificate/);
      return true;
    });
  });

  it('says that nobody listens there', async () => {
    const channel = harness.channel({ address: '127.0.0.1:1' });
    await assert.rejects(channel.unary(createCertificate, {}), /ECONNREFUSED/);
  });

  it('lets a call under way finish when it is closed, and takes no more', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    const { promise: started, resolve: enter } = Promise.withResolvers<void>();
    entered = enter;
    const channel = harness.channel();
    const call = channel.unary(createCertificate, {});
    await started;
    channel.close();
    resolve();
    hold = undefined;
    assert.deepEqual((await call).certChain, ['x']);
    await assert.rejects(channel.unary(createCertificate, {}), { code: 'call_cancelled' });
    assert.throws(() => channel.stream(Health.method.watch), { code: 'call_cancelled' });
  });

  it('ends the handshake that is under way when it is closed', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const channel = openChannel({
      address: `127.0.0.1:${port}`,
      tls: { roots: harness.authority.root },
      clock: realClock,
    });
    const call = assert.rejects(channel.unary(createCertificate, {}, { timeout: 5_000 }));
    const [socket] = (await once(silent, 'connection')) as [Socket];
    await once(
      socket.on('error', () => undefined),
      'data',
    );
    channel.close();
    await once(socket, 'close');
    silent.close();
    await call;
  });

  it('keeps the token that it sent out of its errors (invariant 2)', async () => {
    const channel = harness.channel({ address: '127.0.0.1:1' });
    const headers = { authorization: 'Bearer s3cret.t0ken.x' };
    for (const authorization of [headers.authorization, `${headers.authorization}\n`]) {
      await assert.rejects(channel.unary(createCertificate, {}, { headers: { authorization } }), (error) => {
        assert.ok(error instanceof SealwrightError);
        assert.equal(error.code, authorization.endsWith('x') ? 'ca_unreachable' : 'header_invalid');
        assert.ok(!`${JSON.stringify(error)} ${inspect(error, { depth: 10 })}`.includes('s3cret'));
        return true;
      });
    }
  });

  it('opens nothing without a root or with an address that is none', () => {
    const open = (address: string, roots = harness.authority.root): unknown =>
      openChannel({ address, clock: realClock, tls: { roots } });
    assert.throws(() => open('localhost:15012', ''), { code: 'tls_credentials_invalid' });
    assert.throws(() => openChannel({ address: 'localhost:1', clock: realClock }), {
      code: 'tls_credentials_invalid',
    });
    for (const bad of [
      '',
      'localhost',
      'localhost:0',
      'localhost:70000',
      'http://x:1',
      '[127.0.0.1]:5',
      '[::1',
      'a b:1',
      'unix:',
    ]) {
      assert.throws(() => open(bad), { code: 'ca_address_invalid' }, bad);
    }
    assert.deepEqual(parseChannelTarget('[::1]:15012'), { target: 'ipv6:[::1]:15012', host: '::1' });
    assert.deepEqual(parseChannelTarget('dns:80'), { target: 'dns:dns:80', host: 'dns' });
  });
});
