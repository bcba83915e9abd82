import { strict as assert } from 'node:assert';
import { HeaderAppendAction } from '../../../../src/wire/services.ts';
import { GrpcAuthorizationServer } from '../../../fakes/authorization-servers.ts';
import { eventually } from '../../../fakes/eventually.ts';
import { RawClient, RawServer } from '../../../fakes/raw-peer.ts';
import { httpCall } from '../../http-call.ts';
import { sidecarConfig, workload, service } from '../../sidecar-world.ts';
import { TestSidecar } from '../../test-sidecar.ts';
import { custom, CustomWorld } from './custom-world.ts';

describe('a gRPC provider of external authorization', () => {
  let world: CustomWorld;
  let provider: GrpcAuthorizationServer;

  beforeEach(async () => {
    world = await CustomWorld.create();
    provider = await GrpcAuthorizationServer.start();
    world.atEnd(() => provider.stop());
  });

  afterEach(() => world.end());

  const ext = (fields: object = {}): object => ({
    name: 'ext',
    envoyExtAuthzGrpc: { service: '127.0.0.1', port: provider.port, timeout: '5s', ...fields },
  });
  const start = (fields: object = {}, inbound: { protocol?: 'tcp' | 'auto'; applicationPort?: number } = {}) =>
    world.sidecar(world.config({ ask: custom('ext') }, [ext(fields)], inbound));
  const get = (sidecar: TestSidecar, path = '/books', headers: Record<string, string> = {}) =>
    httpCall('127.0.0.1', sidecar.inboundPort(), { path, headers: { host: 'catalog', ...headers } });

  it('is told of request and connection as Envoy tells it', async () => {
    const sidecar = await start();
    const before = Math.floor(Date.now() / 1000);
    const answer = await get(sidecar, '/books?page=2', {
      'X-Team': 'a',
      'x-envoy-auth-partial-body': 'made up',
      __proto__x: 'b',
    });
    assert.deepEqual([answer.status, answer.body], [200, 'books']);
    const { source, destination, request, tlsSession, contextExtensions } =
      provider.seen[0]?.attributes ?? assert.fail();
    const http = request?.http ?? assert.fail();
    assert.deepEqual(
      [http.method, http.path, http.host, http.scheme, http.protocol, http.size, http.body],
      ['GET', '/books?page=2', 'catalog', 'http', 'HTTP/1.1', 0n, ''],
    );
    assert.match(http.id, /^\d+$/);
    assert.deepEqual(
      [':method', ':path', ':authority', ':scheme', 'x-team', '__proto__x', 'host', 'x-envoy-auth-partial-body'].map(
        (name) => http.headers[name],
      ),
      ['GET', '/books?page=2', 'catalog', 'http', 'a', 'b', undefined, undefined],
    );
    assert.ok(Number(request?.time?.seconds) >= before);
    assert.deepEqual([source?.principal, destination?.principal, source?.certificate], ['', '', '']);
    const address = source?.address?.address.value;
    assert.equal(address?.address, '127.0.0.1');
    assert.ok(Number(address?.portSpecifier.value) > 0);
    assert.deepEqual([tlsSession, contextExtensions], [undefined, {}]);
  });

  it('refuses: 403 where it says no more, or what it says', async () => {
    const sidecar = await start();
    provider.answer = () => ({ status: { code: 7 } });
    const plain = await get(sidecar);
    assert.deepEqual([plain.status, plain.body], [403, '']);
    provider.answer = () => ({
      status: { code: 16 },
      httpResponse: {
        case: 'deniedResponse',
        value: {
          status: { code: 401 },
          body: '{"why":"é"}',
          headers: [
            { header: { key: 'content-type', value: 'application/json' } },
            { header: { key: 'x-why', value: 'no' } },
            { header: { key: 'x-split', value: 'a\r\nset-cookie: b=1' } },
            { header: { key: 'transfer-encoding', value: 'chunked' } },
          ],
        },
      },
    });
    const told = await get(sidecar);
    assert.deepEqual(
      [told.status, told.body, told.headers['content-type'], told.headers['x-why'], told.headers['x-split']],
      [401, '{"why":"é"}', 'application/json', 'no', undefined],
    );
    assert.deepEqual([told.headers['set-cookie'], told.headers['transfer-encoding']], [undefined, undefined]);
    assert.equal(sidecar.log()[0]?.['response_flags'], 'UAEX');
    assert.equal(world.seen.length, 0);
  });

  it('sets, appends and removes fields of the request, and adds to the response (invariant 6)', async () => {
    const { APPEND_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS_OR_ADD } = HeaderAppendAction;
    provider.answer = () => ({
      status: { code: 0 },
      httpResponse: {
        case: 'okResponse',
        value: {
          headers: [
            { header: { key: 'X-User', value: 'ann' }, append: false },
            { header: { key: 'x-role', value: 'b' }, append: true },
            { header: { key: 'x-tag', value: 'c' }, appendAction: OVERWRITE_IF_EXISTS_OR_ADD },
            { header: { key: 'x-forwarded-client-cert', value: 'made up' } },
            { header: { key: ':path', value: '/admin' } },
            { header: { key: 'host', value: 'elsewhere' } },
          ],
          headersToRemove: ['authorization', 'host', ':path'],
          responseHeadersToAdd: [
            { header: { key: 'x-token', value: 't' }, appendAction: APPEND_IF_EXISTS_OR_ADD },
            { header: { key: 'server', value: 'mine' }, append: false },
            { header: { key: 'content-length', value: '1' }, append: false },
          ],
        },
      },
    });
    const sidecar = await start();
    const answer = await get(sidecar, '/books', {
      'x-user': 'eve',
      'x-role': 'a',
      'x-tag': 'z',
      authorization: 'Basic x',
    });
    assert.deepEqual(
      [answer.status, answer.body, answer.headers['x-token'], answer.headers['server']],
      [200, 'books', 't', 'mine'],
    );
    const { headers, url } = world.seen[0]?.incoming ?? assert.fail();
    assert.deepEqual(
      [url, headers.host, headers['x-user'], headers['x-role'], headers['x-tag'], headers.authorization],
      ['/books', 'catalog', 'ann', 'a, b', 'c', undefined],
    );
    assert.equal(headers['x-forwarded-client-cert'], undefined);
  });

  it('is sent the body as text or as bytes', async () => {
    for (const packAsBytes of [false, true]) {
      const sidecar = await start({ includeRequestBodyInCheck: { maxRequestBytes: 100, packAsBytes } });
      const client = await RawClient.connect(sidecar.inboundPort());
      client.send('POST / HTTP/1.1\r\nhost: catalog\r\ncontent-length: 3\r\n\r\na\xffb');
      await client.received.untilText('books');
      client.socket.destroy();
    }
    const [text, bytes] = provider.seen.map(({ attributes }) => attributes?.request?.http);
    assert.deepEqual([text?.body, text?.rawBody.length, text?.size], ['a\u{fffd}b', 0, 3n]);
    assert.deepEqual([bytes?.body, Buffer.from(bytes?.rawBody ?? []).toString('latin1')], ['', 'a\xffb']);
    assert.equal(bytes?.headers['x-envoy-auth-partial-body'], 'false');
  });

  it('fails by an error, by time, by an answer without a status, and by being away; and is asked again (invariant 5)', async () => {
    const sidecar = await start({ timeout: '150ms', statusOnError: '503' });
    const statuses: number[] = [];
    provider.answer = () => Promise.reject(Object.assign(new Error('broken'), { code: 13 }));
    statuses.push((await get(sidecar)).status);
    provider.answer = () => ({});
    statuses.push((await get(sidecar)).status);
    provider.answer = () => ({
      status: { code: 7 },
      httpResponse: { case: 'deniedResponse', value: { body: 'x'.repeat(100_000) } },
    });
    statuses.push((await get(sidecar)).status);
    provider.answer = () => new Promise(() => {});
    statuses.push((await get(sidecar)).status);
    await eventually(() => provider.cancelled === 1);
    provider.stop();
    statuses.push((await get(sidecar)).status);
    assert.deepEqual(statuses, [503, 503, 503, 503, 503]);
    assert.equal(world.seen.length, 0);
    await provider.listen();
    provider.answer = () => ({ status: { code: 0 } });
    assert.equal((await get(sidecar)).status, 200);
  });

  it('lets pass with failOpen what it cannot be asked about', async () => {
    const sidecar = await start({ failOpen: true });
    provider.stop();
    assert.equal((await get(sidecar)).status, 200);
  });

  it('refuses also with failOpen where it was answered, and cannot read what (invariant 5)', async () => {
    const sidecar = await start({ failOpen: true });
    provider.answer = () => ({
      status: { code: 7 },
      httpResponse: { case: 'deniedResponse', value: { body: 'x'.repeat(100_000) } },
    });
    assert.equal((await get(sidecar)).status, 403);
    provider.answer = () => ({});
    assert.equal((await get(sidecar)).status, 403);
    assert.equal(world.seen.length, 0);
  });

  it('keeps one connection for all requests, and hears of clients that leave', async () => {
    provider.answer = ({ attributes }) =>
      attributes?.request?.http?.path === '/slow' ? new Promise(() => {}) : { status: { code: 0 } };
    const sidecar = await start();
    const client = await RawClient.connect(sidecar.inboundPort());
    client.send('GET /slow HTTP/1.1\r\nhost: catalog\r\n\r\n');
    await eventually(() => provider.seen.length === 1);
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(sidecar)));
    assert.ok(
      answers.every(({ status }) => status === 200),
      JSON.stringify(sidecar.logger),
    );
    client.socket.resetAndDestroy();
    await eventually(() => provider.cancelled === 1);
    assert.equal(sidecar.sidecar.open.inbound <= 20, true);
  });

  describe('in the mesh', () => {
    const HOST = 'authz.auth.svc.cluster.local';
    const AUTHZ = 'spiffe://cluster.local/ns/auth/sa/authz';

    const authzSidecar = async (identity = AUTHZ): Promise<TestSidecar> => {
      const started = await TestSidecar.start({
        config: sidecarConfig({
          workload: workload({ name: 'authz', namespace: 'auth', address: '127.0.0.1' }),
          rootsPem: world.mesh.rootPem,
          inbound: [{ applicationPort: provider.port, protocol: 'tcp', mode: 'STRICT' }],
        }),
        identity: await world.mesh.issue(identity),
      });
      world.atEnd(() => started.close());
      return started;
    };
    const known = (port: number): void => {
      const authz = workload({
        name: 'authz',
        namespace: 'auth',
        address: '127.0.0.1',
        mode: 'STRICT',
        services: { [`auth/${HOST}`]: { 9000: port } },
      });
      world.book.set(HOST, {
        kind: 'service',
        service: service(HOST, [9000], { namespace: 'auth' }),
        workloads: [authz],
      });
    };

    it('is asked by mTLS, and must be who its service account says', async () => {
      const right = await authzSidecar();
      known(right.inboundPort());
      const sidecar = await start({ service: `auth/${HOST}`, port: 9000 });
      assert.equal((await get(sidecar)).status, 200);
      assert.equal(right.log().length, 0, 'the connection is still open');
      const impostor = await authzSidecar('spiffe://cluster.local/ns/shop/sa/front');
      known(impostor.inboundPort());
      assert.equal((await get(sidecar)).status, 403);
      assert.equal(provider.seen.length, 1);
    });

    it('is nobody where the namespace is another', async () => {
      known((await authzSidecar()).inboundPort());
      const sidecar = await start({ service: `other/${HOST}`, port: 9000 });
      assert.equal((await get(sidecar)).status, 403);
      assert.equal(provider.seen.length, 0);
    });
  });

  describe('about TCP', () => {
    let echo: RawServer;

    beforeEach(async () => {
      echo = await RawServer.listen();
      echo.onConnection = ({ socket }) => socket.on('data', (bytes: Buffer) => socket.write(bytes));
      world.atEnd(() => echo.close());
    });

    it('is asked once for a connection, of which nothing is passed on before', async () => {
      let agree: () => void = () => {};
      provider.answer = () => new Promise((resolve) => (agree = () => resolve({ status: { code: 0 } })));
      const sidecar = await start({}, { protocol: 'tcp', applicationPort: echo.port });
      const client = await RawClient.connect(sidecar.inboundPort());
      client.send('\x01\x02');
      await eventually(() => provider.seen.length === 1);
      assert.equal(echo.connections.length, 0);
      assert.equal(provider.seen[0]?.attributes?.request, undefined);
      assert.equal(provider.seen[0]?.attributes?.source?.address?.address.value?.address, '127.0.0.1');
      agree();
      await client.received.untilText('\x01\x02');
      // A push judges what is open anew, and nobody is asked a second time.
      await sidecar.reconfigure({ ...(sidecar.config.current() ?? assert.fail()) });
      client.send('more');
      await client.received.untilText('more');
      assert.equal(provider.seen.length, 1);
      client.socket.destroy();
    });

    it('refuses a connection, and so does its absence', async () => {
      const sidecar = await start({}, { protocol: 'tcp', applicationPort: echo.port });
      provider.answer = () => ({ status: { code: 7 } });
      const denied = await RawClient.connect(sidecar.inboundPort());
      denied.send('\x01');
      await denied.received.untilClosed();
      provider.stop();
      const failed = await RawClient.connect(sidecar.inboundPort());
      failed.send('\x01');
      await failed.received.untilClosed();
      assert.equal(echo.connections.length, 0);
      const details = sidecar.log().map((line) => line['connection_termination_details']);
      assert.deepEqual(details, ['ext_authz_denied', 'ext_authz_error']);
      const told = sidecar.log().map((line) => {
        const id = String(line['request_id']);
        const [found] = sidecar.decisions.find(id);
        assert.equal(line['denial'], found?.verdict.reason);
        assert.deepEqual([found?.call.protocol, found?.verdict.decidedBy, found?.notes], ['tcp', 'provider', []]);
        return found?.verdict.reason ?? '';
      });
      const matched = 'rule 0 of CUSTOM policy shop/ask matched, and its provider ext';
      assert.equal(told[0], `${matched} refused`);
      assert.ok(told[1]?.startsWith(`${matched} did not answer: `), told[1]);
      const refusals = await sidecar.series('sealwright_inbound_refused_total');
      assert.deepEqual(refusals, [{ labels: { reason: 'policy' }, value: 2 }]);
    });

    it('lets a server speak first that it was asked about', async () => {
      echo.onConnection = ({ socket }) => socket.write('220 ready');
      const sidecar = await start({}, { protocol: 'tcp', applicationPort: echo.port });
      const client = await RawClient.connect(sidecar.inboundPort());
      await client.received.untilText('220 ready');
      assert.equal(provider.seen.length, 1);
      client.socket.destroy();
    });

    it('is not replaced by an HTTP provider: that is passed over on a TCP port, and refuses on any other (invariant 5)', async () => {
      const http = { name: 'ext', envoyExtAuthzHttp: { service: '127.0.0.1', port: provider.port } };
      const config = (protocol: 'tcp' | 'auto') =>
        world.config({ ask: custom('ext') }, [http], { protocol, applicationPort: echo.port });
      const declared = await world.sidecar(config('tcp'));
      const passed = await RawClient.connect(declared.inboundPort());
      passed.send('\x01\x02');
      await passed.received.untilText('\x01\x02');
      passed.socket.destroy();
      const guessed = await world.sidecar(config('auto'));
      const refused = await RawClient.connect(guessed.inboundPort());
      refused.send('\x01\x02');
      await refused.received.untilClosed();
      assert.equal(echo.connections.length, 1);
      const id = String(guessed.log().at(-1)?.['request_id']);
      assert.match(String(guessed.decisions.find(id)[0]?.verdict.reason), /provider ext is asked about HTTP only$/);
    });
  });
});
