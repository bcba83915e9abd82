import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { eventually } from '../fakes/eventually.ts';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { RawClient, RawServer } from '../fakes/raw-peer.ts';
import { service, sidecarConfig, TestBook, workload, type ConfigFields } from './sidecar-world.ts';
import { TestSidecar, type TestSidecarOptions } from './test-sidecar.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

describe('a sidecar among hostile peers', () => {
  let mesh: TestMesh;
  let catalog: TestIdentity;
  let front: TestIdentity;
  let application: RawServer;
  const stops: (() => Promise<unknown> | void)[] = [];

  before(async () => {
    mesh = await TestMesh.create();
    catalog = await mesh.issue(CATALOG);
    front = await mesh.issue('spiffe://cluster.local/ns/shop/sa/front');
  });

  beforeEach(async () => {
    application = await RawServer.listen();
    stops.push(() => application.close());
  });

  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const start = async (options: TestSidecarOptions): Promise<TestSidecar> => {
    const started = await TestSidecar.start(options);
    stops.push(() => started.close());
    return started;
  };

  const config = (inbound: NonNullable<ConfigFields['inbound']>[number] = {}, more: Partial<ConfigFields> = {}) =>
    sidecarConfig({
      workload: workload({ name: 'catalog' }),
      rootsPem: mesh.rootPem,
      inbound: [{ applicationPort: application.port, ...inbound }],
      ...more,
    });

  const client = async (port: number): Promise<RawClient> => {
    const raw = await RawClient.connect(port);
    stops.push(() => raw.close());
    return raw;
  };

  const secureClient = async (port: number): Promise<RawClient> => {
    const { keyPem: key, chainPem: cert } = front;
    const checkServerIdentity = (): undefined => undefined;
    const socket = connectTls({ host: '127.0.0.1', port, key, cert, ca: mesh.rootPem, checkServerIdentity });
    const raw = new RawClient(socket);
    stops.push(() => raw.close());
    await once(socket, 'secureConnect');
    return raw;
  };

  const answerAll = (): void => {
    application.onConnection = ({ socket }) => {
      socket.on('data', () => socket.write(OK));
    };
  };

  describe('that were let in before the configuration changed', () => {
    for (const protocol of ['auto', 'http', 'tcp'] as const) {
      it(`lets no plaintext in that had said nothing before STRICT: ${protocol} (invariant 4)`, async () => {
        answerAll();
        const sidecar = await start({ config: config({ protocol }), identity: catalog });
        const raw = await client(sidecar.inboundPort());
        await eventually(() => sidecar.sidecar.open.inbound === 1);
        await sidecar.reconfigure(config({ protocol, mode: 'STRICT' }));
        raw.send(GET);
        await raw.received.untilClosed();
        assert.equal(raw.received.text, '');
      });
    }

    it('opens no tunnel that was denied while the application thought about it', async () => {
      const sidecar = await start({ config: config(), identity: catalog });
      const raw = await client(sidecar.inboundPort());
      raw.send(UPGRADE);
      const upstream = await application.connection(0);
      await upstream.received.untilText('\r\n\r\n');
      await sidecar.reconfigure(
        config({}, { policies: { no: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/ws'] } }] }] } } }),
      );
      upstream.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      await raw.received.untilClosed();
      assert.ok(!raw.received.text.includes(' 101 '));
    });
  });

  describe('with an application at a Unix socket', () => {
    it('survives a peer that resets its connection', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
      const path = join(folder, 'app.sock');
      const accepted: Socket[] = [];
      let ended = 0;
      const server: Server = createTcpServer({ allowHalfOpen: true }, (socket) => {
        socket.on('error', () => {});
        socket.on('end', () => (ended += 1)).resume();
        accepted.push(socket);
      });
      await new Promise<void>((resolve) => server.listen(path, resolve));
      stops.push(async () => {
        for (const socket of accepted) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
        await rm(folder, { recursive: true });
      });
      const sidecar = await start({
        config: config({ protocol: 'tcp', endpoint: { kind: 'unix', path } }),
        identity: catalog,
      });
      const raw = await client(sidecar.inboundPort());
      raw.send('hello');
      await eventually(() => accepted.length === 1);
      raw.socket.resetAndDestroy();
      await eventually(() => sidecar.sidecar.open.inbound === 0);
      await eventually(() => ended === 1);
    });

    it('survives an application of its own that is told no over a Unix socket', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'sealwright-'));
      stops.push(() => rm(folder, { recursive: true }));
      const path = join(folder, 'egress.sock');
      const sidecar = await start({
        config: sidecarConfig({
          workload: workload({ name: 'catalog' }),
          rootsPem: mesh.rootPem,
          outbound: [{ address: `unix://${path}`, port: 0, protocol: 'tcp', to: ['shop/other.shop'] }],
        }),
        identity: catalog,
      });
      const socket = connect({ path });
      socket.on('error', () => {});
      await once(socket, 'close');
      await eventually(() => sidecar.sidecar.open.outbound === 0);
    });
  });

  describe('on a port whose protocol is told from the first bytes', () => {
    for (const [name, bytes] of [
      ['an empty line before the request', '\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n'],
      ['a method in lower case', 'get /admin HTTP/1.1\r\nHost: h\r\n\r\n'],
      ['a space before the request', ' GET /admin HTTP/1.1\r\nHost: h\r\n\r\n'],
      ['a line that ends early', 'GET /admin HTTP/1.1\nHost: h\n\n'],
      ['HTTP/0.9', 'GET /admin\r\n'],
      ['HTTP/1.2', 'GET /admin HTTP/1.2\r\nHost: h\r\n\r\n'],
    ] as const) {
      it(`lets nothing by a denial of requests: ${name} (invariant 5)`, async () => {
        answerAll();
        const sidecar = await start({
          config: config(
            { protocol: 'auto' },
            { policies: { no: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] } } },
          ),
          identity: catalog,
        });
        const raw = await client(sidecar.inboundPort());
        raw.send(bytes);
        await raw.received.until(({ text, ended, closed }) => ended || closed || text.includes('HTTP/1.1 '));
        assert.ok(!raw.received.text.includes('200 OK'), raw.received.text);
      });

      it(`passes on nothing that its sender says of itself: ${name} (invariant 6)`, async () => {
        answerAll();
        const sidecar = await start({ config: config({ protocol: 'auto' }), identity: catalog });
        const raw = await client(sidecar.inboundPort());
        const forged = 'X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/a/sa/b';
        raw.send(bytes.replace(/Host: h(\r?\n)/, `Host: h$1${forged}$1`));
        await raw.received.until(({ text, ended, closed }) => ended || closed || text.includes('HTTP/1.1 '));
        assert.ok(application.connections.every(({ received }) => !/sa\/b/.test(received.text)));
      });
    }
  });

  it('serves no plaintext at a port that is gone, once the mode is STRICT (invariant 4)', async () => {
    answerAll();
    const sidecar = await start({ config: config(), identity: catalog });
    const raw = await client(sidecar.inboundPort());
    raw.send(UPGRADE);
    const upstream = await application.connection(0);
    await upstream.received.untilText('\r\n\r\n');
    const gone = sidecarConfig({ workload: workload({ name: 'catalog' }), rootsPem: mesh.rootPem });
    await sidecar.reconfigure({ ...gone, mtlsMode: () => 'STRICT' });
    await raw.received.untilClosed();
  });

  it('ends what peers of a trust domain have open that is not an alias any more (invariant 8)', async () => {
    answerAll();
    const sidecar = await start({ config: config({ mode: 'STRICT' }), identity: catalog });
    const raw = await secureClient(sidecar.inboundPort());
    raw.send(GET);
    await raw.received.untilText('ok');
    await sidecar.reconfigure({ ...config({ mode: 'STRICT' }), bundleOf: () => undefined });
    await raw.received.untilClosed();
  });

  it("lends its identity to nobody: no application of a configuration is the sidecar's own port", async () => {
    answerAll();
    const sidecar = await start({
      config: config(),
      identity: catalog,
      lookup: async () => ['127.0.0.1'],
    });
    sidecar.book.otherwise = { kind: 'outside' };
    await sidecar.reconfigure(
      config({ name: 'other', endpoint: { kind: 'tcp', host: '127.0.0.2', port: sidecar.proxyPort } }),
    );
    const raw = new RawClient(connect({ port: sidecar.inboundPort(), host: '127.0.0.1' }));
    stops.push(() => raw.close());
    raw.send(`GET / HTTP/1.1\r\nHost: outside.example:${application.port}\r\n\r\n`);
    await raw.received.until(({ ended, closed }) => ended || closed);
    assert.ok(!raw.received.text.includes('200 OK'), raw.received.text);
  });

  it('refuses a call where its own certificate cannot be used, and lives on (invariant 5)', async () => {
    const other = await mesh.issue('spiffe://cluster.local/ns/shop/sa/other');
    const book = new TestBook();
    const host = 'catalog.shop.svc.cluster.local';
    const peer = workload({ name: 'catalog', services: { [`shop/${host}`]: { 80: application.port } } });
    book.set(host, { kind: 'service', service: service(host, [80]), workloads: [peer] });
    const sidecar = await start({
      config: sidecarConfig({ workload: workload({ name: 'front' }), rootsPem: mesh.rootPem, outbound: [{}] }),
      identity: catalog,
      book,
    });
    const call = async (): Promise<string> => {
      const raw = await client(sidecar.outboundPort());
      raw.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      await raw.received.until(({ ended, closed }) => ended || closed);
      return raw.received.text;
    };
    application.onConnection = ({ socket }) => socket.destroy();
    assert.match(await call(), /^HTTP\/1.1 503 /);
    sidecar.identity.set({ ...catalog, keyPem: other.keyPem });
    assert.match(await call(), /^HTTP\/1.1 50[03] /);
    assert.match(await call(), /^HTTP\/1.1 50[03] /);
  });

  it('calls no application of this machine for a workload that has no address (invariant 5)', async () => {
    answerAll();
    const book = new TestBook();
    const host = 'catalog.shop.svc.cluster.local';
    const peer = workload({
      name: 'catalog',
      sidecar: false,
      services: { [`shop/${host}`]: { 80: application.port } },
    });
    book.set(host, { kind: 'service', service: service(host, [80]), workloads: [{ ...peer, addresses: [] }] });
    const own = workload({ name: 'front' });
    const sidecar = await start({
      config: sidecarConfig({ workload: own, rootsPem: mesh.rootPem, outbound: [{}] }),
      identity: catalog,
      book,
    });
    const raw = await client(sidecar.outboundPort());
    raw.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await raw.received.untilText('the workload has no address');
  });

  it('brings no denied path to the application in whatever disguise (invariant 7)', async () => {
    const seen: string[] = [];
    application.onConnection = ({ socket }) => {
      socket.on('data', (bytes: Buffer) => {
        seen.push(bytes.toString('latin1').split('\r\n', 1)[0] ?? '');
        socket.write(OK);
      });
    };
    const deny = { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin', '/admin/*'] } }] }] };
    const sidecar = await start({ config: config({}, { policies: { deny } }), identity: catalog });
    const targets = String.raw`
      /admin /admin?a /admin#a /%61dmin /%61%64%6d%69%6e /x/../admin /x/%2e%2e/admin /./admin /x/.%2e/admin /%2e/admin
      /x\..\admin /x/y/../../admin \admin /\..\admin http://h/admin http://h/%61dmin http://h/x/../admin http://h\admin
      #/admin admin //../admin http://h?/../admin http://a@h/admin */../admin /%%36%31dmin /%2%35admin /.. /x/..%00/admin
    `
      .trim()
      .split(/\s+/);
    for (const target of targets) {
      const raw = await client(sidecar.inboundPort());
      raw.send(`GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      await raw.received.until(({ ended, closed }) => ended || closed);
      raw.close();
    }
    // What a reader makes of it that decodes as often as it can, before and after it resolves dots.
    const read = (line: string): string => {
      let path = line.split(' ')[1]?.split('?', 1)[0] ?? '';
      for (let times = 0; times < 3; times += 1) path = path.replaceAll(/%([2-7][0-9a-f])/gi, decodeURIComponent);
      return new URL(path.replaceAll(/^\/+/g, '/'), 'http://h').pathname;
    };
    assert.deepEqual(
      seen.filter((line) => read(line).startsWith('/admin')),
      [],
    );
    assert.ok(seen.length > 0);
  });
});
