import { strict as assert } from 'node:assert';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { eventually } from '../fakes/eventually.ts';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { RawClient, RawServer } from '../fakes/raw-peer.ts';
import { httpCall, type HttpAnswer } from './http-call.ts';
import { service, sidecarConfig, TestBook, workload, type ConfigFields, type WorkloadFields } from './sidecar-world.ts';
import { TestSidecar, type TestSidecarOptions } from './test-sidecar.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';
const HOST = 'catalog.shop.svc.cluster.local';
const KEY = `shop/${HOST}`;

const call = (port: number, options: Parameters<typeof httpCall>[2] = {}): Promise<HttpAnswer> =>
  httpCall('127.0.0.1', port, { headers: { host: 'catalog' }, ...options });

describe('the sidecar', () => {
  let mesh: TestMesh;
  let stranger: TestMesh;
  let identities: Record<'catalog' | 'front' | 'other', TestIdentity>;
  let application: Server;
  let seen: IncomingMessage[];
  /** Answers to `/slow`, until a test gives them. */
  let held: ServerResponse[];
  const stops: (() => Promise<unknown>)[] = [];

  before(async () => {
    mesh = await TestMesh.create();
    stranger = await TestMesh.create();
    identities = {
      catalog: await mesh.issue(CATALOG),
      front: await mesh.issue(FRONT),
      other: await mesh.issue('spiffe://cluster.local/ns/shop/sa/other'),
    };
  });

  beforeEach(async () => {
    seen = [];
    held = [];
    application = createServer((incoming, answer) => {
      seen.push(incoming);
      answer.setHeader('x-envoy-peer-metadata', 'made up');
      if (incoming.url === '/slow') held.push(answer);
      else answer.end('books');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    stops.push(async () => {
      application.closeAllConnections();
      await new Promise((resolve) => application.close(resolve));
    });
  });

  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const start = async (options: TestSidecarOptions): Promise<TestSidecar> => {
    const started = await TestSidecar.start(options);
    stops.push(() => started.close());
    return started;
  };

  const applicationPort = (): number => (application.address() as AddressInfo).port;

  const catalogConfig = (
    more: Partial<ConfigFields> = {},
    inbound: NonNullable<ConfigFields['inbound']>[number] = {},
  ) =>
    sidecarConfig({
      workload: workload({
        name: 'catalog',
        labels: { app: 'catalog', version: 'v1' },
        services: { [KEY]: { 80: 0 } },
      }),
      rootsPem: mesh.rootPem,
      inbound: [{ applicationPort: applicationPort(), mode: 'STRICT', ...inbound }],
      ...more,
    });

  const startCatalog = (more: Partial<ConfigFields> = {}, inbound: NonNullable<ConfigFields['inbound']>[number] = {}) =>
    start({ config: catalogConfig(more, inbound), identity: identities.catalog });

  const frontConfig = (more: Partial<ConfigFields> = {}) =>
    sidecarConfig({
      workload: workload({ name: 'front', labels: { app: 'front' } }),
      rootsPem: mesh.rootPem,
      outbound: [{ to: [KEY] }],
      ...more,
    });

  /** A book in which the service leads to workloads at these ports. */
  const bookTo = (...ports: (number | (Partial<WorkloadFields> & { port: number }))[]): TestBook => {
    const book = new TestBook();
    const workloads = ports.map((given, index) => {
      const { port, ...fields } = typeof given === 'number' ? { port: given } : given;
      const services = { [KEY]: { 80: port } };
      return workload({ name: 'catalog', labels: { app: 'catalog', version: `v${index + 1}` }, services, ...fields });
    });
    book.set(HOST, { kind: 'service', service: service(HOST, [80]), workloads });
    return book;
  };

  const startFront = (book: TestBook, more: Partial<ConfigFields> = {}) =>
    start({ config: frontConfig(more), identity: identities.front, book });

  describe('between two applications', () => {
    it('carries a call by mutual TLS, tells who called, and lets nobody else say so (invariant 6)', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      const answer = await call(front.outboundPort(), {
        path: '/books?a=1',
        headers: { host: 'catalog', 'x-forwarded-client-cert': `URI=${CATALOG}`, 'x-envoy-peer-metadata': 'e30=' },
      });
      assert.deepEqual([answer.status, answer.body], [200, 'books']);
      const [received] = seen;
      assert.ok(received);
      assert.equal(received.url, '/books?a=1');
      const xfcc = String(received.headers['x-forwarded-client-cert']);
      assert.match(xfcc, new RegExp(`^By=${CATALOG};Hash=[0-9a-f]{64};Subject="";URI=${FRONT}$`));
      assert.equal(received.headers['x-envoy-peer-metadata'], undefined);
      assert.equal(received.headers['x-envoy-peer-metadata-id'], undefined);
      assert.equal(answer.headers['x-envoy-peer-metadata'], undefined);
    });

    it('counts the call on both sides, with the names and identities of both ends', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      await call(front.outboundPort());
      const ends = {
        source_workload: 'front',
        source_workload_namespace: 'shop',
        source_principal: FRONT,
        source_app: 'front',
        source_cluster: 'Kubernetes',
        destination_workload: 'catalog',
        destination_principal: CATALOG,
        destination_version: 'v1',
        response_code: '200',
        response_flags: '-',
        request_protocol: 'http',
      };
      const [there] = await catalog.series('istio_requests_total');
      assert.deepEqual({ ...there?.labels, ...ends }, there?.labels);
      assert.equal(there?.value, 1);
      assert.equal(there?.labels['reporter'], 'destination');
      assert.equal(there?.labels['connection_security_policy'], 'mutual_tls');
      assert.equal(there?.labels['destination_service'], HOST);
      const [here] = await front.series('istio_requests_total');
      assert.deepEqual({ ...here?.labels, ...ends }, here?.labels);
      assert.equal(here?.labels['reporter'], 'source');
      assert.equal(here?.labels['connection_security_policy'], 'unknown');
      assert.equal(here?.labels['destination_service'], HOST);
      assert.equal(here?.labels['destination_service_name'], 'catalog');
    });

    it('writes down each call on both sides', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      await call(front.outboundPort(), { path: '/a?token=secret' });
      const [there] = catalog.log();
      const [here] = front.log();
      assert.equal(there?.['path'], '/a?token=[redacted]');
      assert.equal(there?.['source_principal'], FRONT);
      assert.equal(there?.['requested_server_name'], `outbound_.80_._.${HOST}`);
      assert.equal(there?.['upstream_host'], `127.0.0.1:${applicationPort()}`);
      assert.equal(here?.['upstream_cluster'], `outbound|80||${HOST}`);
      assert.equal(here?.['upstream_host'], `127.0.0.1:${catalog.inboundPort()}`);
      assert.equal(here?.['destination_principal'], CATALOG);
    });

    it('names each call alike in both logs and at the application', async () => {
      const catalog = await start({ config: catalogConfig(), identity: identities.catalog, accessLog: 'all' });
      const book = bookTo(catalog.inboundPort());
      const front = await start({ config: frontConfig(), identity: identities.front, book, accessLog: 'all' });
      await call(front.outboundPort());
      await call(front.outboundPort(), { headers: { host: 'catalog', 'x-request-id': 'from-the-application' } });
      await eventually(() => catalog.log().length === 2);
      const names = seen.map(({ headers }) => headers['x-request-id']);
      assert.match(String(names[0]), /^[0-9a-f-]{36}$/);
      assert.equal(names[1], 'from-the-application');
      for (const sidecar of [catalog, front]) {
        assert.deepEqual(
          sidecar.log().map((line) => line['request_id']),
          names,
        );
      }
    });

    it('says in its log why it denied, tells the caller only the name, and explains by that name later', async () => {
      const only = { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] };
      const catalog = await startCatalog({ policies: { only } });
      const front = await startFront(bookTo(catalog.inboundPort()));
      const answer = await call(front.outboundPort(), { method: 'POST', path: '/books?access_token=s3cret' });
      assert.equal(answer.status, 403);
      const id = String(answer.headers['x-request-id']);
      assert.doesNotMatch(JSON.stringify(answer), /only|rbac_access_denied|methods/);
      await eventually(() => catalog.log().length === 1);
      const [line] = catalog.log();
      assert.deepEqual(
        [line?.['request_id'], line?.['denial']],
        [
          id,
          'no ALLOW rule matched; nearest was ALLOW policy shop/only rule 0: to[0].operation.methods must be "GET", was "POST"',
        ],
      );
      const [told] = catalog.decisions.find(id);
      assert.deepEqual([told?.call.from, told?.call.path, told?.verdict.allow], [FRONT, '/books', false]);
      assert.doesNotMatch(JSON.stringify(told), /s3cret/);
      assert.deepEqual(front.decisions.find(id), []);
    });

    it('normalizes what it judges, and passes on what it judged (invariant 7)', async () => {
      const policies = { admin: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] } };
      const catalog = await startCatalog({ policies });
      const front = await startFront(bookTo(catalog.inboundPort()));
      for (const path of ['/admin', '/x/../admin', '/%61dmin', '/./admin?x=/y']) {
        assert.equal((await call(front.outboundPort(), { path })).status, 403, path);
      }
      assert.equal((await call(front.outboundPort(), { path: '/x/../%62ooks?q=%2e%2e' })).status, 200);
      assert.deepEqual(
        seen.map(({ url }) => url),
        ['/books?q=%2e%2e'],
      );
    });

    it('relays opaque bytes by mutual TLS, and counts them as the server sees them', async () => {
      const echo = createTcpServer((socket) => socket.pipe(socket));
      await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
      stops.push(() => new Promise((resolve) => echo.close(resolve)));
      const { port } = echo.address() as AddressInfo;
      const catalog = await startCatalog({}, { applicationPort: port, protocol: 'tcp' });
      const front = await startFront(bookTo(catalog.inboundPort()), { outbound: [{ to: [KEY], protocol: 'tcp' }] });
      const client = await RawClient.connect(front.outboundPort());
      stops.push(async () => client.close());
      client.send('hello');
      await client.received.untilText('hello');
      client.socket.end();
      await client.received.untilClosed();
      await eventually(async () => (await catalog.series('istio_tcp_connections_closed_total')).length > 0);
      for (const [sidecar, policy] of [
        [catalog, 'mutual_tls'],
        [front, 'unknown'],
      ] as const) {
        await eventually(async () => (await sidecar.series('istio_tcp_connections_closed_total'))[0]?.value === 1);
        for (const [name, value] of [
          ['connections_opened', 1],
          ['sent_bytes', 5],
          ['received_bytes', 5],
        ] as const) {
          const [series] = await sidecar.series(`istio_tcp_${name}_total`);
          assert.equal(series?.value, value, name);
          assert.equal(series?.labels['connection_security_policy'], policy);
          assert.equal(series?.labels['source_principal'], FRONT);
        }
      }
    });
  });

  for (const protocol of ['http', 'tcp'] as const) {
    it(`says where an application is that it does not reach, by ${protocol.toUpperCase()}`, async () => {
      const nowhere = await RawServer.listen();
      const endpoint = { kind: 'tcp', host: '127.0.0.1', port: nowhere.port } as const;
      await nowhere.close();
      const catalog = await startCatalog({}, { protocol, endpoint });
      const front = await startFront(bookTo(catalog.inboundPort()), { outbound: [{ to: [KEY], protocol }] });
      const client = await RawClient.connect(front.outboundPort());
      client.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      await eventually(() => catalog.log().length > 0);
      const [entry] = catalog.log();
      assert.deepEqual(
        ['response_flags', 'upstream_host', 'upstream_transport_failure_reason'].map((field) => entry?.[field]),
        ['UF', `127.0.0.1:${endpoint.port}`, 'ECONNREFUSED'],
      );
      client.close();
    });
  }

  describe('where it is not who was called', () => {
    it('sends nothing to a workload of the mesh that is another (invariant 8)', async () => {
      const other = await start({ config: catalogConfig(), identity: identities.other });
      const front = await startFront(bookTo(other.inboundPort()));
      const answer = await call(front.outboundPort());
      assert.equal(answer.status, 503);
      assert.deepEqual(seen, []);
      const [line] = front.log();
      assert.equal(line?.['response_flags'], 'UF');
      assert.match(
        String(line?.['upstream_transport_failure_reason']),
        /^the peer is .*\/sa\/other, expected was .*\/sa\/catalog$/,
      );
    });

    it('sends nothing to a server of another root, TLS or none', async () => {
      const impostor = await stranger.issue(CATALOG);
      const other = await start({
        config: catalogConfig({ rootsPem: stranger.rootPem }),
        identity: impostor,
      });
      const plain = await RawServer.listen();
      stops.push(() => plain.close());
      for (const port of [other.inboundPort(), plain.port]) {
        const front = await startFront(bookTo(port));
        const answering = call(front.outboundPort());
        if (port === plain.port)
          (await plain.connection(0)).socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        assert.equal((await answering).status, 503);
      }
      assert.deepEqual(seen, []);
      const first = plain.connections[0]?.received.bytes[0];
      assert.equal(first, 22, 'what it was sent begins with a TLS record');
    });

    it('refuses a caller of another root, and lets no plaintext in (invariant 4)', async () => {
      const catalog = await startCatalog();
      const outsider = await start({
        config: frontConfig({ rootsPem: mesh.rootPem }),
        identity: { ...(await stranger.issue(FRONT)), rootsPem: mesh.rootPem },
        book: bookTo(catalog.inboundPort()),
      });
      assert.equal((await call(outsider.outboundPort())).status, 503);
      await assert.rejects(call(catalog.inboundPort()));
      assert.deepEqual(seen, []);
      const refusals = await catalog.series('sealwright_inbound_refused_total');
      assert.deepEqual(new Set(refusals.map(({ labels }) => labels['reason'])), new Set(['plaintext', 'tls']));
      assert.deepEqual(await catalog.series('istio_requests_total'), []);
    });

    it('never counts plaintext as authenticated where it takes it (invariant 4)', async () => {
      const catalog = await startCatalog({}, { mode: 'PERMISSIVE' });
      const claims = { host: 'a', 'x-forwarded-client-cert': `URI=${FRONT}`, 'x-envoy-peer-metadata': 'e30=' };
      assert.equal((await call(catalog.inboundPort(), { headers: claims })).status, 200);
      assert.equal(seen[0]?.headers['x-forwarded-client-cert'], undefined);
      const [series] = await catalog.series('istio_requests_total');
      assert.equal(series?.labels['connection_security_policy'], 'none');
      assert.equal(series?.labels['source_principal'], 'unknown');
      assert.equal(series?.labels['source_workload'], 'unknown');
    });
  });

  describe('looking for a destination', () => {
    it('refuses what nothing is known of, and tries nothing in plaintext (invariant 5)', async () => {
      const front = await startFront(new TestBook(), { outbound: [{ to: ['*/*'] }] });
      const answer = await call(front.outboundPort());
      assert.equal(answer.status, 503);
      assert.match(answer.body, /^the destination could not be found out: /);
      assert.equal(front.log()[0]?.['response_flags'], 'NC');
      assert.equal((await front.series('istio_requests_total'))[0]?.labels['destination_service'], 'catalog');
    });

    it('waits for a destination that has to be asked for', async () => {
      const catalog = await startCatalog();
      const book = bookTo(catalog.inboundPort());
      book.peeking = false;
      const front = await startFront(book);
      assert.equal((await call(front.outboundPort())).status, 200);
      assert.ok(book.asked.includes(HOST));
    });

    it('tells hosts of one listener apart by what the request names', async () => {
      const catalog = await startCatalog();
      const book = bookTo(catalog.inboundPort());
      book.set('orders.shop.svc.cluster.local', {
        kind: 'service',
        service: service('orders.shop.svc.cluster.local', [80]),
        workloads: [],
      });
      const front = await startFront(book, { outbound: [{ to: ['shop/*'] }] });
      const status = async (host: string): Promise<number> =>
        (await call(front.outboundPort(), { headers: { host } })).status;
      assert.equal(await status(HOST), 200);
      assert.equal(await status('orders.shop.svc.cluster.local'), 503);
      assert.equal(front.log().at(-1)?.['response_flags'], 'UH');
    });

    it('says which destination it did not call, and why, in log and metrics', async () => {
      const why = async (fields: WorkloadFields): Promise<unknown[]> => {
        const book = new TestBook();
        const catalog = service(HOST, [80]);
        book.addService(catalog, workload({ ...fields, services: { [catalog.key]: { 80: 80 } } }));
        const front = await startFront(book);
        const answer = await call(front.outboundPort());
        assert.equal(answer.status, 503);
        const entry = front.log().at(-1);
        const [series] = await front.series('istio_requests_total');
        assert.equal(entry?.['upstream_cluster'], `outbound|80||${HOST}`);
        assert.equal(series?.labels['destination_service'], HOST);
        assert.equal(answer.headers['x-request-id'], entry['request_id']);
        assert.match(String(entry['request_id']), /^[0-9a-f-]{36}$/);
        return [entry['response_flags'], entry['upstream_transport_failure_reason']];
      };
      assert.deepEqual(await why({ name: 'catalog', sidecar: false, mode: 'STRICT' }), [
        'UH',
        'the workload demands mTLS and has no sidecar to speak it (a pod that has one carries the label security.istio.io/tlsMode: istio)',
      ]);
      assert.deepEqual(await why({ name: 'catalog', healthy: false }), [
        'UH',
        'there is no endpoint that may be called',
      ]);
    });

    it('does not take what it cannot read for a call to where the last one went', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      const client = await RawClient.connect(front.outboundPort());
      client.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      await client.received.untilText('200');
      client.send('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
      await client.received.untilText('400 Bad Request');
      await eventually(() => front.log().length === 2);
      assert.deepEqual(
        front.log().map((entry) => entry['upstream_cluster']),
        [`outbound|80||${HOST}`, null],
      );
      client.close();
    });

    it('reaches nothing that the Sidecar resource leaves out', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()), { outbound: [{ to: ['other/*'] }] });
      const answer = await call(front.outboundPort(), { headers: { host: HOST } });
      assert.equal(answer.status, 404);
      assert.deepEqual(seen, []);
    });

    it('calls the healthy workloads in turn, and another one where one does not answer', async () => {
      const catalog = await startCatalog();
      const server = await RawServer.listen();
      const gone = server.port;
      await server.close();
      const port = catalog.inboundPort();
      const front = await startFront(
        bookTo(port, { port: gone, healthy: false }, { port: gone, address: '127.0.0.3' }),
      );
      for (let count = 0; count < 4; count += 1) assert.equal((await call(front.outboundPort())).status, 200);
      assert.equal(seen.length, 4);
      const [series] = await front.series('istio_requests_total');
      assert.equal(series?.labels['destination_version'], 'v1', 'counted where it went in the end');
      assert.equal(series?.value, 4);
    });

    it('uses plaintext for a workload without a sidecar that takes it, and for no other (invariant 5)', async () => {
      const front = await startFront(bookTo({ port: applicationPort(), sidecar: false }));
      assert.equal((await call(front.outboundPort())).status, 200);
      assert.equal(seen[0]?.headers['x-envoy-peer-metadata'], undefined);
      for (const mode of ['STRICT', undefined] as const) {
        const other = await startFront(bookTo({ port: applicationPort(), sidecar: false, mode }));
        assert.equal((await call(other.outboundPort())).status, 503, mode);
      }
      assert.equal(seen.length, 1);
      const [series] = await front.series('istio_requests_total');
      assert.equal(series?.labels['destination_principal'], 'unknown');
    });

    it('waits with calls to the mesh for its certificate', async () => {
      const catalog = await startCatalog();
      const front = await start({ config: frontConfig(), book: bookTo(catalog.inboundPort()) });
      assert.equal((await call(front.outboundPort())).status, 503);
      assert.equal(front.log()[0]?.['response_code_details'], 'no_certificate');
      front.identity.set(identities.front);
      assert.equal((await call(front.outboundPort())).status, 200);
    });
  });

  describe('as an HTTP proxy', () => {
    const asProxy = (sidecar: TestSidecar, url: string): Promise<HttpAnswer> =>
      httpCall('127.0.0.2', sidecar.proxyPort, { path: url, headers: { host: new URL(url).host } });

    it('reaches services of the mesh and passes on the rest of the URL', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      assert.equal((await asProxy(front, `http://${HOST}/books`)).status, 200);
      assert.equal(seen[0]?.url, '/books');
      assert.equal((await asProxy(front, `http://${HOST}:81/books`)).status, 404);
    });

    it('leaves the mesh where the mesh allows it, only after the control stream said that it is outside', async () => {
      const book = new TestBook();
      book.otherwise = { kind: 'outside' };
      const lookup = async (): Promise<string[]> => ['127.0.0.1'];
      const front = await start({ config: frontConfig(), identity: identities.front, book, lookup });
      const url = `http://example.org:${applicationPort()}/`;
      assert.equal((await asProxy(front, url)).status, 200);
      assert.deepEqual(book.asked.toSorted(), ['127.0.0.1', 'example.org']);
      const [series] = await front.series('istio_requests_total');
      assert.equal(series?.labels['destination_service_name'], 'PassthroughCluster');
      await front.reconfigure(frontConfig({ outboundTrafficPolicy: 'REGISTRY_ONLY' }));
      assert.equal((await asProxy(front, url)).status, 502);
      assert.equal(seen.length, 1);
    });

    it('calls a workload of the mesh by mutual TLS whatever name leads to it (invariant 4)', async () => {
      const catalog = await startCatalog();
      const book = new TestBook();
      book.otherwise = { kind: 'outside' };
      book.addWorkload(workload({ name: 'catalog', address: '127.0.0.1' }));
      const lookup = async (): Promise<string[]> => ['127.0.0.1'];
      const front = await start({ config: frontConfig(), identity: identities.front, book, lookup });
      assert.equal((await asProxy(front, `http://alias.example.org:${catalog.inboundPort()}/`)).status, 200);
      assert.match(String(seen[0]?.headers['x-forwarded-client-cert']), new RegExp(`URI=${FRONT}$`));
    });

    it('does not call itself', async () => {
      const book = new TestBook();
      book.otherwise = { kind: 'outside' };
      const lookup = async (): Promise<string[]> => ['127.0.0.2'];
      const front = await start({ config: frontConfig(), identity: identities.front, book, lookup });
      assert.equal((await asProxy(front, `http://loop.example.org:${front.proxyPort}/`)).status, 502);
      assert.equal((await front.series('istio_requests_total')).length, 1);
    });
  });

  describe('when the configuration changes', () => {
    const deny = { policies: { none: { action: 'DENY', rules: [{}] } } };

    it('judges the next request of an open connection by the new policies', async () => {
      const catalog = await startCatalog({}, { mode: 'PERMISSIVE' });
      const client = await RawClient.connect(catalog.inboundPort());
      stops.push(async () => client.close());
      client.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.received.untilText('books');
      await catalog.reconfigure(catalogConfig(deny, { mode: 'PERMISSIVE' }));
      client.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.received.untilText('403 Forbidden');
      assert.equal(seen.length, 1);
    });

    it('breaks opaque connections that are denied now, and only those', async () => {
      const server = await RawServer.listen();
      stops.push(() => server.close());
      const inbound = { mode: 'PERMISSIVE', protocol: 'tcp', applicationPort: server.port } as const;
      const catalog = await startCatalog({}, inbound);
      const client = await RawClient.connect(catalog.inboundPort());
      stops.push(async () => client.close());
      client.send('hello');
      await (await server.connection(0)).received.untilText('hello');
      const allow = { policies: { all: { rules: [{}] } } };
      await catalog.reconfigure(catalogConfig(allow, inbound));
      client.send(' again');
      await (await server.connection(0)).received.untilText('again');
      await catalog.reconfigure(catalogConfig(deny, inbound));
      await client.received.untilClosed();
      const line = (): Record<string, unknown> | undefined => catalog.log().at(-1);
      await eventually(() => line() !== undefined);
      assert.equal(
        line()?.['connection_termination_details'],
        'rbac_access_denied_matched_policy[ns[shop]-policy[none]-rule[0]]',
      );
      const [told] = catalog.decisions.find(String(line()?.['request_id']));
      assert.deepEqual([told?.call.protocol, told?.call.path], ['tcp', undefined]);
      assert.equal(told?.explanation?.verdict.reason, 'rule 0 of DENY policy shop/none matched');
    });

    it('breaks plaintext where the mode is STRICT now (invariant 4)', async () => {
      const catalog = await startCatalog({}, { mode: 'PERMISSIVE' });
      const client = await RawClient.connect(catalog.inboundPort());
      stops.push(async () => client.close());
      client.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.received.untilText('books');
      await catalog.reconfigure(catalogConfig());
      await client.received.untilClosed();
    });

    it('breaks peers whose root is not trusted any more, and calls nobody by what was proven before', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      const slow = call(front.outboundPort(), { path: '/slow' });
      await eventually(() => seen.length === 1);
      await catalog.reconfigure(catalogConfig({ rootsPem: stranger.rootPem }));
      assert.equal((await slow).status, 503);
      await front.reconfigure(frontConfig({ rootsPem: stranger.rootPem }));
      assert.equal((await call(front.outboundPort())).status, 503);
      assert.equal(seen.length, 1);
    });

    it('keeps connections that a renewed bundle still accepts (invariant 9)', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      const slow = call(front.outboundPort(), { path: '/slow' });
      await eventually(() => seen.length === 1);
      const both = `${stranger.rootPem}${mesh.rootPem}`;
      await catalog.reconfigure(catalogConfig({ rootsPem: both }));
      await front.reconfigure(frontConfig({ rootsPem: both }));
      assert.equal((await call(front.outboundPort())).status, 200);
      assert.equal(catalog.sidecar.open.inbound, 2);
      held[0]?.end('late');
      assert.equal((await slow).body, 'late');
    });

    it('uses a new certificate for new connections', async () => {
      const catalog = await startCatalog();
      const front = await startFront(bookTo(catalog.inboundPort()));
      await call(front.outboundPort());
      const first = String(seen[0]?.headers['x-forwarded-client-cert']);
      front.identity.set(await mesh.issue(FRONT));
      catalog.identity.set(await mesh.issue(CATALOG));
      // The pooled connection goes on; one more at the same time is a new one.
      const slow = call(front.outboundPort(), { path: '/slow' });
      await eventually(() => seen.length === 2);
      await call(front.outboundPort());
      assert.equal(seen[1]?.headers['x-forwarded-client-cert'], first);
      assert.notEqual(seen[2]?.headers['x-forwarded-client-cert'], first);
      held[0]?.end();
      await slow;
    });

    it('opens listeners that appear and closes those that disappear', async () => {
      const catalog = await startCatalog();
      const before = catalog.inboundPort();
      await catalog.reconfigure(catalogConfig({ inbound: [] }));
      await assert.rejects(call(before), /ECONNREFUSED/);
      await catalog.reconfigure(catalogConfig());
      assert.notEqual(catalog.inboundPort(), 0);
    });
  });

  describe('in draining', () => {
    it('takes nothing new from others, ends what is under way with close, and leaves outbound alone', async () => {
      const catalog = await startCatalog({ outbound: [{ to: [KEY] }] }, { mode: 'PERMISSIVE' });
      const peer = await startCatalog();
      const own = bookTo(peer.inboundPort());
      catalog.book.set(HOST, own.peek({ host: HOST })!);
      const port = catalog.inboundPort();
      const client = await RawClient.connect(port);
      stops.push(async () => client.close());
      client.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
      await eventually(() => seen.length === 1);
      await catalog.sidecar.drain();
      await assert.rejects(call(port), /ECONNREFUSED/);
      assert.equal((await call(catalog.outboundPort())).status, 200);
      held[0]?.end();
      await client.received.until(({ ended }) => ended);
      assert.match(client.received.text, /\r\nConnection: close\r\n/);
      client.socket.end();
      await eventually(() => catalog.sidecar.open.inbound === 0);
    });
  });

  describe('beside another one', () => {
    it('says that a port is held, keeps the others open, and takes it once it is free', async () => {
      const server = await RawServer.listen();
      const { port } = server;
      const config = catalogConfig({}, { port });
      const catalog = await start({ config, identity: identities.catalog });
      assert.equal(catalog.sidecar.problems[0]?.code, 'port_in_use');
      assert.notEqual(catalog.proxyPort, 0);
      await server.close();
      await eventually(() => catalog.sidecar.problems.length === 0);
      assert.equal(catalog.inboundPort(), port);
      const second = await start({ config, identity: identities.catalog });
      assert.equal(second.sidecar.problems[0]?.code, 'port_held');
      assert.match(
        second.sidecar.problems[0]?.message ?? '',
        /^another sidecar holds this address and port .*; stop it, or/,
      );
    });
  });

  it('opens no port while there is no configuration, and serves as soon as there is one (invariant 5)', async () => {
    const config = catalogConfig({}, { mode: 'PERMISSIVE' });
    const catalog = await start({ config: undefined, identity: identities.catalog });
    assert.equal(catalog.sidecar.portOf('inbound', config.inbound[0]!), undefined);
    assert.equal(catalog.proxyPort, 0);
    await catalog.reconfigure(config);
    assert.equal((await call(catalog.inboundPort())).status, 200);
  });
});
