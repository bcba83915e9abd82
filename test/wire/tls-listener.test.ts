import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp, createServer } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { SealwrightError } from '../../src/core/errors.ts';
import { implementService } from '../../src/wire/grpc-service.ts';
import type { ServerCall } from '../../src/wire/server-call.ts';
import { IstioCertificateService, ReportService } from '../../src/wire/services.ts';
import { listenTls } from '../../src/wire/tls-listener.ts';
import type { Issued } from './certificates.ts';
import { createTestAuthority, selfSigned } from './certificates.ts';
import type { Harness, HarnessOptions } from './grpc-harness.ts';
import { startHarness } from './grpc-harness.ts';

const { createCertificate } = IstioCertificateService.method;
const ADMIN = 'spiffe://cluster.local/ns/sealwright-system/sa/admin';

const identityOf = (issued: Issued): { certificateChain: string; privateKey: string } => ({
  certificateChain: issued.chain,
  privateKey: issued.key,
});

/** One CreateCertificate with an empty message, on a connection that the test made itself. */
async function callOver(socket: TLSSocket): Promise<void> {
  const session = sessions.get(socket) ?? connectHttp2('https://localhost', { createConnection: () => socket });
  sessions.set(socket, session);
  const path = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const request = session.request(headers).end(Buffer.alloc(5)).resume();
  const [trailers] = (await once(request, 'trailers')) as [Record<string, unknown>];
  assert.equal(trailers['grpc-status'], '0');
}
const sessions = new WeakMap<TLSSocket, ClientHttp2Session>();

describe('the TLS listener', () => {
  let harness: Harness | undefined;
  let calls: ServerCall[] = [];
  let hold: Promise<void> | undefined;

  const start = async (options: Partial<HarnessOptions> = {}): Promise<Harness> => {
    const ca = implementService(IstioCertificateService, {
      createCertificate: async (_, call) => {
        calls.push(call);
        await hold;
        return { certChain: ['done'] };
      },
    });
    const report = implementService(ReportService, {
      report: async (stream) => {
        for await (const { sequence } of stream.requests) stream.send({ received: sequence });
      },
    });
    harness = await startHarness({ services: [ca, report], ...options });
    return harness;
  };

  const dial = async (
    port: number,
    options: ConnectionOptions & { localAddress?: string; localPort?: number },
  ): Promise<TLSSocket> => {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ALPNProtocols: ['h2'], ...options });
    // The server may reset what a test leaves open.
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    return socket;
  };

  beforeEach(() => {
    calls = [];
    hold = undefined;
  });
  afterEach(async () => {
    await harness?.close();
    harness = undefined;
  });

  it('lets a client without a certificate in, as one without identity', async () => {
    const { channel } = await start();
    await channel().unary(createCertificate, {});
    assert.equal(calls[0]?.peer.chain, undefined);
  });

  it('shows the whole chain of an authorized client, leaf first', async () => {
    const { authority, channel } = await start();
    const between = await authority.intermediate();
    const client = await between.issue({ uri: ADMIN });
    await channel({ identity: identityOf(client) }).unary(createCertificate, {});
    const expected = [client.der, between.der, authority.der].map((der) => der.toString('hex'));
    assert.deepEqual(
      calls[0]?.peer.chain?.map((der) => der.toString('hex')),
      expected,
    );
  });

  const impostors: [what: string, make: () => Promise<Issued>][] = [
    ['signed itself', () => selfSigned(ADMIN)],
    ['comes from a foreign CA', async () => (await createTestAuthority()).issue({ uri: ADMIN })],
    ['has expired', () => harness!.authority.issue({ uri: ADMIN, expired: true })],
  ];
  for (const [what, make] of impostors) {
    it(`never takes a client certificate that ${what} for authorized (invariant 5)`, async () => {
      const { channel, refused, server } = await start();
      const identity = identityOf(await make());
      const headers = { authorization: 'Bearer a.b.c' };
      await assert.rejects(channel({ identity }).unary(createCertificate, {}, { headers, timeout: 5_000 }), (error) => {
        assert.ok(error instanceof SealwrightError);
        assert.equal(error.code, 'ca_unreachable');
        assert.equal(error.fields['status'], 'UNAVAILABLE');
        return true;
      });
      assert.deepEqual(calls, []);
      assert.ok(refused.includes('certificate_unauthorized'), refused.join());
      assert.equal(server.connections, 0);
    });
  }

  it('keeps each peer apart from the others, also with equal addresses and ports', async () => {
    const { authority, listener, server } = await start({ listener: { host: '0.0.0.0' } });
    const named = await authority.issue({ uri: ADMIN });
    const { port } = listener;
    // The same local port towards two of the server's addresses.
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const local = { localAddress: '127.0.0.1', localPort: (free.address() as AddressInfo).port };
    await new Promise((closed) => free.close(closed));
    const first = await dial(port, { ca: authority.root, cert: named.chain, key: named.key, ...local });
    const raw = connectTcp({ host: '127.0.0.2', port, ...local });
    await once(raw, 'connect');
    const second = connectTls({ socket: raw, servername: 'localhost', ca: authority.root, ALPNProtocols: ['h2'] });
    await once(second, 'secureConnect');
    assert.equal(first.localPort, raw.localPort);
    for (const socket of [first, second, first]) await callOver(socket);
    const chains = calls.map(({ peer }) => peer.chain?.[0]?.toString('hex'));
    assert.deepEqual(chains, [named.der.toString('hex'), undefined, named.der.toString('hex')]);
    assert.equal(server.connections, 2);
    first.destroy();
    second.destroy();
  });

  it('swaps certificate and roots without a restart and without dropping a stream', async () => {
    const { authority, listener, channel } = await start();
    const stream = channel().stream(ReportService.method.report);
    const responses = stream.responses[Symbol.asyncIterator]();
    stream.send({ sequence: 1n });
    assert.equal((await responses.next()).value?.received, 1n);

    const next = await createTestAuthority();
    const { chain, key } = await next.issue({ dns: ['localhost'], ip: ['127.0.0.1'] });
    listener.setTls({ certificateChain: chain, privateKey: key, roots: next.root });

    stream.send({ sequence: 2n });
    assert.equal((await responses.next()).value?.received, 2n);
    const client = await next.issue({ uri: ADMIN });
    await channel({ roots: next.root, identity: identityOf(client) }).unary(createCertificate, {});
    assert.equal(calls[0]?.peer.chain?.[0]?.equals(client.der), true);
    // Neither the former certificate nor the former roots are in use any more.
    await assert.rejects(channel().unary(createCertificate, {}, { timeout: 5_000 }), { code: 'ca_unreachable' });
    const former = identityOf(await authority.issue({ uri: ADMIN }));
    const stale = channel({ roots: next.root, identity: former });
    await assert.rejects(stale.unary(createCertificate, {}, { timeout: 5_000 }), { code: 'ca_unreachable' });
    stream.cancel();
    await assert.rejects(responses.next());
  });

  it('keeps what it serves when the new certificate cannot be used', async () => {
    const { authority, listener, channel } = await start();
    const one = await authority.issue({ dns: ['localhost'] });
    const other = await authority.issue({ dns: ['localhost'] });
    const bad = [
      { certificateChain: one.chain, privateKey: other.key, roots: authority.root },
      { certificateChain: 'nonsense', privateKey: one.key, roots: authority.root },
      { certificateChain: one.chain, privateKey: one.key, roots: '' },
    ];
    for (const tls of bad) assert.throws(() => listener.setTls(tls), { code: 'tls_credentials_invalid' });
    await channel().unary(createCertificate, {});
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`resumes no session over ${version}, so that no certificate outlives its roots`, async () => {
      const { authority, listener } = await start();
      const { port } = listener;
      const client = await authority.issue({ uri: ADMIN });
      const options = { ca: authority.root, cert: client.chain, key: client.key, maxVersion: version };
      const first = await dial(port, options);
      const sessions: Buffer[] = [];
      first.on('session', (session) => sessions.push(session));
      first.resume();
      const early = first.getSession();
      if (early !== undefined) sessions.push(early);
      first.end();
      await once(first, 'close');
      for (const session of sessions) {
        const again = await dial(port, { ...options, session });
        assert.equal(again.isSessionReused(), false);
        again.destroy();
      }
      assert.ok(sessions.length > 0 || version === 'TLSv1.3', 'there was no session to resume');
    });
  }

  it('serves no TLS below 1.2 and nobody who does not speak HTTP/2', async () => {
    const { authority, listener, refused } = await start();
    const old = connectTls({
      port: listener.port,
      ca: authority.root,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await assert.rejects(once(old, 'secureConnect'));
    const plain = connectTls({ port: listener.port, host: '127.0.0.1', servername: 'localhost', ca: authority.root });
    await once(plain, 'close');
    assert.deepEqual([...new Set(refused)].sort(), ['handshake_failed', 'no_http2']);
  });

  it('gives a silent client up', async () => {
    const { listener, refused } = await start({ listener: { handshakeTimeout: 50 } });
    const silent = connectTcp(listener.port, '127.0.0.1');
    await once(silent, 'close');
    assert.deepEqual(refused, ['handshake_failed']);
  });

  it('drops the oldest silent handshake for a new one and serves who speaks', async () => {
    const { listener, channel, refused } = await start({ listener: { maxHandshakes: 3 } });
    const silent = [1, 2, 3, 4].map(() => connectTcp(listener.port, '127.0.0.1'));
    await Promise.race(silent.map((socket) => once(socket, 'close')));
    await channel().unary(createCertificate, {});
    assert.equal(calls.length, 1);
    assert.ok(refused.filter((why) => why === 'handshake_evicted').length >= 1);
    for (const socket of silent) socket.destroy();
  });

  it('takes no more connections than allowed', async () => {
    const { listener, authority, refused } = await start({ listener: { maxConnections: 2 } });
    const two = [await dial(listener.port, { ca: authority.root }), await dial(listener.port, { ca: authority.root })];
    const third = connectTcp(listener.port, '127.0.0.1');
    await once(third, 'close');
    assert.deepEqual(refused, ['too_many_connections']);
    for (const socket of two) socket.destroy();
  });

  it('closes a connection that makes no call', async () => {
    const { listener, authority } = await start({ server: { requestTimeout: 50 } });
    const idle = await dial(listener.port, { ca: authority.root });
    idle.resume();
    await once(idle, 'close');
  });

  it('keeps a connection that has made a call', async () => {
    const { listener, authority } = await start({ server: { requestTimeout: 300 } });
    const used = await dial(listener.port, { ca: authority.root });
    await callOver(used);
    const idle = await dial(listener.port, { ca: authority.root });
    idle.resume();
    await once(idle, 'close');
    assert.equal(used.closed, false);
    await callOver(used);
    used.destroy();
  });

  for (const [what, bytes] of [
    ['never sends its message whole', Buffer.from([0, 0, 0, 0, 9, 1, 2])],
    ['never ends its request', Buffer.alloc(5)],
  ] as const) {
    it(`closes a connection whose call ${what}, and asks no handler`, async () => {
      const { listener, authority } = await start({ server: { requestTimeout: 100 } });
      const socket = await dial(listener.port, { ca: authority.root });
      const session = connectHttp2('https://localhost', { createConnection: () => socket });
      session.on('error', () => undefined);
      const path = '/istio.v1.auth.IstioCertificateService/CreateCertificate';
      const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
      const request = session.request(headers).on('error', () => undefined);
      request.write(bytes);
      await once(socket, 'close');
      assert.deepEqual(calls, []);
    });
  }

  it('leaves a stream open for as long as it likes once its first message is there', async () => {
    const { channel, listener, authority } = await start({ server: { requestTimeout: 300 } });
    const stream = channel().stream(ReportService.method.report);
    const responses = stream.responses[Symbol.asyncIterator]();
    stream.send({ sequence: 1n });
    await responses.next();
    const idle = await dial(listener.port, { ca: authority.root });
    idle.resume();
    await once(idle, 'close');
    stream.send({ sequence: 2n });
    assert.equal((await responses.next()).value?.received, 2n);
    stream.cancel();
    await assert.rejects(responses.next());
  });

  it('says in one sentence that its port is taken, or that it cannot listen', async () => {
    const { listener, server, authority } = await start();
    const { chain, key } = await authority.issue({ dns: ['localhost'] });
    const tls = { certificateChain: chain, privateKey: key, roots: authority.root };
    await assert.rejects(listenTls({ server, host: '127.0.0.1', port: listener.port, tls }), (error) => {
      assert.ok(error instanceof SealwrightError);
      assert.equal(error.code, 'port_in_use');
      assert.equal(error.fields['address'], `127.0.0.1:${listener.port}`);
      return true;
    });
    await assert.rejects(listenTls({ server, host: '203.0.113.7', port: 0, tls }), { code: 'listen_refused' });
    await assert.rejects(listenTls({ server, host: '127.0.0.1', port: 70_000, tls }), { code: 'listen_refused' });
  });

  it('lets calls finish when it stops, and ends streams with a reason', async () => {
    const { channel, listener, server } = await start();
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    const one = channel();
    const stream = one.stream(ReportService.method.report);
    const responses = stream.responses[Symbol.asyncIterator]();
    stream.send({ sequence: 1n });
    await responses.next();
    const call = one.unary(createCertificate, {});
    while (calls.length === 0) await new Promise((next) => setImmediate(next));
    listener.close();
    const stopping = server.stop(10_000);
    await assert.rejects(responses.next(), /server_stopping/);
    resolve();
    assert.deepEqual((await call).certChain, ['done']);
    await stopping;
    assert.equal(server.connections, 0);
    await assert.rejects(one.unary(createCertificate, {}, { timeout: 5_000 }), { code: 'ca_unreachable' });
  });

  it('stops at its deadline although a call goes on', async () => {
    const { channel, server } = await start();
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    const call = channel().unary(createCertificate, {});
    const failed = assert.rejects(call, { code: 'ca_unreachable' });
    while (calls.length === 0) await new Promise((next) => setImmediate(next));
    assert.equal(calls[0]?.signal.aborted, false);
    await server.stop(20);
    await failed;
    resolve();
  });
});
