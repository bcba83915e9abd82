import { strict as assert } from 'node:assert';
import type { ServerResponse } from 'node:http';
import { eventually } from '../../../fakes/eventually.ts';
import { HttpAuthorizationServer } from '../../../fakes/authorization-servers.ts';
import { RawClient } from '../../../fakes/raw-peer.ts';
import { httpCall } from '../../http-call.ts';
import type { TestSidecar } from '../../test-sidecar.ts';
import { custom, CustomWorld } from './custom-world.ts';

describe('an HTTP provider of external authorization', () => {
  let world: CustomWorld;
  let provider: HttpAuthorizationServer;

  beforeEach(async () => {
    world = await CustomWorld.create();
    provider = await HttpAuthorizationServer.start();
    world.atEnd(() => provider.stop());
  });

  afterEach(() => world.end());

  const ext = (fields: object = {}, name = 'ext'): object => ({
    name,
    envoyExtAuthzHttp: { service: '127.0.0.1', port: provider.port, timeout: '5s', ...fields },
  });
  const start = (fields: object = {}, policies: Record<string, object> = { ask: custom('ext') }) =>
    world.sidecar(world.config(policies, [ext(fields)]));
  const get = (sidecar: TestSidecar, path = '/books', headers: Record<string, string> = {}, method = 'GET') =>
    httpCall('127.0.0.1', sidecar.inboundPort(), { path, method, headers: { host: 'catalog', ...headers } });

  it('is told what was asked for and agrees', async () => {
    const sidecar = await start({
      pathPrefix: '/check',
      includeRequestHeadersInCheck: ['x-team', 'x-a-*', '*-b'],
      includeAdditionalHeadersInCheck: { 'x-from': 'sidecar', 'x-team-source': 'mesh' },
    });
    const answer = await get(sidecar, '/books?page=2', {
      authorization: 'Basic YTpi',
      cookie: 'secret=1',
      'X-Team': 'a',
      'x-a-1': '1',
      'x-b': '2',
      'x-from': 'the client',
    });
    assert.deepEqual([answer.status, answer.body], [200, 'books']);
    const [{ incoming, body } = assert.fail()] = provider.seen;
    assert.deepEqual([incoming.method, incoming.url, body], ['GET', '/check/books?page=2', '']);
    assert.deepEqual(incoming.headers, {
      host: 'catalog',
      'content-length': '0',
      authorization: 'Basic YTpi',
      'x-team': 'a',
      'x-a-1': '1',
      'x-b': '2',
      'x-from': 'sidecar',
      'x-team-source': 'mesh',
    });
    assert.equal(world.seen[0]?.incoming.headers['cookie'], 'secret=1');
  });

  it('is asked only about what its rules match, and the rest passes', async () => {
    provider.answer = (_incoming, answer) => answer.writeHead(403).end();
    const sidecar = await start({}, { ask: custom('ext', ['/admin*']) });
    assert.equal((await get(sidecar, '/books')).status, 200);
    assert.equal((await get(sidecar, '/admin')).status, 403);
    assert.equal(provider.seen.length, 1);
  });

  it('refuses with its own status, body and fields, and the access log says so', async () => {
    provider.answer = (_incoming, answer) => {
      answer.writeHead(401, {
        'www-authenticate': 'Basic',
        'x-why': 'no',
        'x-inner': 'secret',
        'set-cookie': ['a=1', 'b=2'],
      });
      answer.end('{"why":"no"}');
    };
    const sidecar = await start({ headersToDownstreamOnDeny: ['x-why', 'set-cookie'] });
    const answer = await get(sidecar);
    assert.deepEqual([answer.status, answer.body], [401, '{"why":"no"}']);
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
    assert.deepEqual(
      ['www-authenticate', 'x-why', 'x-inner', 'content-length'].map((name) => answer.headers[name]),
      ['Basic', 'no', undefined, '12'],
    );
    assert.equal(world.seen.length, 0);
    const [line] = sidecar.log();
    assert.deepEqual([line?.['response_flags'], line?.['response_code_details']], ['UAEX', 'ext_authz_denied']);
    const reason = 'rule 0 of CUSTOM policy shop/ask matched, and its provider ext refused';
    assert.equal(line?.['denial'], reason);
    const [told] = sidecar.decisions.find(String(line?.['request_id']));
    assert.deepEqual([told?.verdict.decidedBy, told?.verdict.reason, told?.notes], ['provider', reason, []]);
    assert.deepEqual(
      told?.explanation?.asks.map(({ provider: name }) => name),
      ['ext'],
    );
    const counted = await sidecar.series('sealwright_ext_authz_checks_total');
    assert.deepEqual(counted, [{ labels: { provider: 'ext', result: 'denied' }, value: 1 }]);
    const took = await sidecar.series('sealwright_ext_authz_check_duration_milliseconds_count');
    assert.equal(took[0]?.value, 1);
  });

  it('changes the request and the response where it agrees', async () => {
    provider.answer = (_incoming, answer) => {
      answer.writeHead(200, {
        'x-user': 'ann',
        'x-inner': 'kept back',
        'x-token': 't',
        'x-envoy-auth-headers-to-remove': 'authorization, cookie',
      });
      answer.end();
    };
    const sidecar = await start({ headersToUpstreamOnAllow: ['x-user'], headersToDownstreamOnAllow: ['x-token'] });
    const answer = await get(sidecar, '/books', {
      authorization: 'Basic YTpi',
      cookie: 'a=1',
      'X-User': 'mallory',
      X_User: 'eve',
    });
    assert.deepEqual([answer.status, answer.headers['x-token'], answer.headers['x-inner']], [200, 't', undefined]);
    const received = world.seen[0]?.incoming.headers ?? {};
    assert.deepEqual(
      ['x-user', 'x_user', 'authorization', 'cookie', 'x-inner'].map((name) => received[name]),
      ['ann', undefined, undefined, undefined, undefined],
    );
  });

  it('cannot say who the peer is, nor frame the message, nor change where it goes (invariants 6 and 7)', async () => {
    provider.answer = (_incoming, answer) => {
      answer.writeHead(200, {
        host: 'elsewhere',
        'x-forwarded-client-cert': 'By=spiffe://made/up',
        'x-envoy-peer-metadata': 'made up',
        'x-envoy-auth-headers-to-remove': 'host, content-length, :path',
        te: 'trailers',
      });
      answer.end();
    };
    const sidecar = await start({ headersToUpstreamOnAllow: ['*'] });
    const answer = await get(sidecar, '/books', { 'content-length': '0' }, 'POST');
    assert.equal(answer.status, 200);
    const { headers, url } = world.seen[0]?.incoming ?? assert.fail();
    assert.deepEqual(
      [url, headers.host, headers['x-forwarded-client-cert'], headers['x-envoy-peer-metadata'], headers['te']],
      ['/books', 'catalog', undefined, undefined, undefined],
    );
    assert.equal(headers['content-length'], '0');
  });

  it('is judged as failed by 5xx, by no answer in time and by no connection, and the request is refused (invariant 5)', async () => {
    const sidecar = await start({ timeout: '100ms', statusOnError: '503' });
    provider.answer = (_incoming, answer) => answer.writeHead(500).end();
    const by500 = await get(sidecar);
    provider.answer = () => {};
    const byTimeout = await get(sidecar);
    await provider.stop();
    const byRefusal = await get(sidecar);
    assert.deepEqual(
      [by500, byTimeout, byRefusal].map(({ status, body }) => [status, body]),
      [503, 503, 503].map((status) => [status, '']),
    );
    assert.equal(world.seen.length, 0);
    for (const line of sidecar.log()) {
      assert.deepEqual([line['response_flags'], line['response_code_details']], ['UAEX', 'ext_authz_error']);
      assert.match(String(line['denial']), /CUSTOM policy shop\/ask matched, and its provider ext did not answer: ./);
      assert.equal(sidecar.decisions.find(String(line['request_id']))[0]?.verdict.decidedBy, 'provider');
    }
    assert.equal((await sidecar.series('sealwright_ext_authz_checks_total'))[0]?.value, 3);
    await provider.listen();
    provider.answer = (_incoming, answer) => answer.end();
    assert.equal((await get(sidecar)).status, 200, 'it is asked again once it is back');
  });

  it('lets pass what it cannot be asked about where the settings say failOpen, and only that', async () => {
    const sidecar = await start({ failOpen: true });
    await provider.stop();
    assert.equal((await get(sidecar)).status, 200);
    await provider.listen();
    provider.answer = (_incoming, answer) => answer.writeHead(403).end();
    assert.equal((await get(sidecar)).status, 403);
    assert.deepEqual(
      (await sidecar.series('sealwright_ext_authz_checks_total')).map(({ labels }) => labels['result']),
      ['failure_mode_allowed', 'denied'],
    );
  });

  it('refuses also with failOpen where it was answered no, however the rest of the answer comes (invariant 5)', async () => {
    const sidecar = await start({ failOpen: true, headersToDownstreamOnDeny: ['x-why'] });
    for (const answer of [
      // Longer than is read of an answer: whoever chooses what it says must not choose that it is not heard.
      (_incoming: unknown, response: ServerResponse) =>
        response.writeHead(403, { 'x-why': 'no' }).end('x'.repeat(70_000)),
      (_incoming: unknown, response: ServerResponse) => {
        response.writeHead(403, { 'content-length': 10 }).write('cut');
        setImmediate(() => response.destroy());
      },
      (_incoming: unknown, response: ServerResponse) =>
        response.socket?.end('HTTP/1.1 403 Forbidden\r\nbroken field\r\n\r\n', 'latin1'),
    ]) {
      provider.answer = answer;
      const { status, body } = await get(sidecar);
      assert.deepEqual([status, body], [403, '']);
    }
    assert.equal(world.seen.length, 0);
  });

  it('refuses while the settings name no such provider, and asks it as soon as they do (invariant 5)', async () => {
    const policies = { ask: custom('ext') };
    const sidecar = await world.sidecar(world.config(policies, []));
    const refused = await get(sidecar);
    assert.deepEqual([refused.status, refused.body], [403, 'RBAC: access denied']);
    const [line] = sidecar.log();
    assert.match(String(line?.['response_code_details']), /deny-due-to-bad-CUSTOM-action/);
    assert.match(String(line?.['denial']), /CUSTOM policy shop\/ask matched, and its provider ext cannot be asked/);
    sidecar.config.set({ ...world.config(policies, [ext()]), inbound: sidecar.config.current()?.inbound ?? [] });
    assert.equal((await get(sidecar)).status, 200);
    sidecar.config.set({
      ...world.config(policies, [{ name: 'ext', zipkin: {} }]),
      inbound: sidecar.config.current()?.inbound ?? [],
    });
    assert.equal((await get(sidecar)).status, 403, 'a provider of traces decides nothing');
  });

  it('refuses while its service is not known, and asks it as soon as it is', async () => {
    const host = 'authz.auth.svc.cluster.local';
    world.book.set(host, { kind: 'unknown', reason: 'the control stream is not there' });
    const sidecar = await start({ service: `auth/${host}` });
    assert.equal((await get(sidecar)).status, 403);
    world.book.set(host, { kind: 'outside' });
    assert.equal((await get(sidecar)).status, 403, 'its name has no address');
    assert.equal(provider.seen.length, 0);
  });

  it('asks several, and one that refuses decides', async () => {
    const other = await HttpAuthorizationServer.start();
    world.atEnd(() => other.stop());
    const providers = [
      ext({ headersToUpstreamOnAllow: ['x-*'] }),
      {
        name: 'other',
        envoyExtAuthzHttp: { service: '127.0.0.1', port: other.port, headersToUpstreamOnAllow: ['x-*'] },
      },
    ];
    provider.answer = (_incoming, answer) => answer.writeHead(200, { 'x-one': '1', 'x-both': 'ext' }).end();
    other.answer = (_incoming, answer) => answer.writeHead(200, { 'x-two': '2', 'x-both': 'other' }).end();
    const sidecar = await world.sidecar(
      world.config({ one: custom('ext'), two: custom('other'), again: custom('ext', ['/books']) }, providers),
    );
    assert.equal((await get(sidecar)).status, 200);
    const received = world.seen[0]?.incoming.headers ?? {};
    assert.deepEqual(
      ['x-one', 'x-two', 'x-both'].map((name) => received[name]),
      ['1', '2', 'other'],
    );
    assert.deepEqual([provider.seen.length, other.seen.length], [1, 1]);
    // One that never answers is not waited for when another has refused.
    provider.answer = () => {};
    other.answer = (_incoming, answer) => answer.writeHead(403).end();
    assert.equal((await get(sidecar)).status, 403);
    await eventually(() => provider.open === 0);
  });

  it('is asked before DENY and ALLOW, which judge what it made of the request', async () => {
    provider.answer = (_incoming, answer) => answer.writeHead(200, { 'x-user': 'ann' }).end();
    const allow = { rules: [{ when: [{ key: 'request.headers[x-user]', values: ['ann'] }] }] };
    const sidecar = await start({ headersToUpstreamOnAllow: ['x-user'] }, { ask: custom('ext', ['/books']), allow });
    assert.equal((await get(sidecar)).status, 200);
    assert.equal((await get(sidecar, '/other')).status, 403);
    assert.equal((await get(sidecar, '/other', { 'x-user': 'ann' })).status, 200);
  });

  it('hears that a client has left, and another client is not held up meanwhile', async () => {
    provider.answer = (incoming, answer) => {
      if (incoming.url !== '/slow') answer.end();
    };
    const sidecar = await start();
    const client = await RawClient.connect(sidecar.inboundPort());
    client.socket.write('GET /slow HTTP/1.1\r\nhost: catalog\r\n\r\n');
    await eventually(() => provider.seen.length === 1);
    assert.equal((await get(sidecar)).status, 200);
    assert.equal(provider.open, 2);
    // An orderly end could be that of one direction alone.
    client.socket.resetAndDestroy();
    await eventually(() => provider.open === 1);
    const results = await sidecar.series('sealwright_ext_authz_checks_total');
    assert.deepEqual(new Set(results.map(({ labels }) => labels['result'])), new Set(['cancelled', 'ok']));
  });

  it('is asked anew about a request that waits while the policies change', async () => {
    provider.answer = () => {};
    const sidecar = await start({}, { ask: custom('ext') });
    const waiting = get(sidecar);
    await eventually(() => provider.seen.length === 1);
    const deny = { action: 'DENY', rules: [{}] };
    sidecar.config.set({ ...world.config({ deny }, [ext()]), inbound: sidecar.config.current()?.inbound ?? [] });
    await provider.stop();
    assert.equal((await waiting).status, 403);
    assert.equal(world.seen.length, 0);
  });

  describe('with the body', () => {
    const upload = (sidecar: TestSidecar, lines: readonly string[], body: string) =>
      RawClient.connect(sidecar.inboundPort()).then((client) => {
        client.socket.write(['POST /up HTTP/1.1', 'host: catalog', ...lines, '', ''].join('\r\n') + body, 'latin1');
        return client;
      });
    const limits = (maxRequestBytes: number, allowPartialMessage = false) => ({
      includeRequestBodyInCheck: { maxRequestBytes, allowPartialMessage },
    });

    it('is sent it, and the application gets it whole', async () => {
      const sidecar = await start(limits(10));
      for (const [lines, sent] of [
        [['content-length: 10'], '0123456789'],
        [['transfer-encoding: chunked'], '4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n'],
      ] as const) {
        const client = await upload(sidecar, lines, sent);
        await client.received.untilText('books');
        client.socket.destroy();
      }
      assert.deepEqual(
        provider.seen.map(({ body }) => body),
        ['0123456789', '0123456789'],
      );
      assert.deepEqual(
        provider.seen.map(({ incoming }) => incoming.headers['x-envoy-auth-partial-body']),
        ['false', 'false'],
      );
      assert.deepEqual(
        world.seen.map(({ body }) => body),
        ['0123456789', '0123456789'],
      );
    });

    it('is sent its beginning where that is enough, before the rest has come', async () => {
      const sidecar = await start(limits(4, true));
      const client = await upload(sidecar, ['content-length: 200000'], 'begi');
      await eventually(() => provider.seen.length === 1);
      assert.equal(provider.seen[0]?.body, 'begi');
      assert.equal(provider.seen[0].incoming.headers['x-envoy-auth-partial-body'], 'true');
      client.socket.write('x'.repeat(199_996));
      await client.received.untilText('books');
      assert.equal(world.seen[0]?.body, `begi${'x'.repeat(199_996)}`);
      client.socket.destroy();
    });

    it('is not asked about one that is longer, which is answered 413', async () => {
      const sidecar = await start(limits(4));
      for (const [lines, sent] of [
        [['content-length: 5'], ''],
        [['transfer-encoding: chunked'], '5\r\n01234\r\n'],
      ] as const) {
        const client = await upload(sidecar, lines, sent);
        await client.received.untilText('413 Payload Too Large');
        client.socket.destroy();
      }
      assert.deepEqual([provider.seen.length, world.seen.length], [0, 0]);
    });

    it('is not passed by with failOpen because others send slowly (invariant 5)', async () => {
      const sidecar = await start({ ...limits(4 * 1024 * 1024), failOpen: true });
      const waiting = ['content-length: 4', 'expect: 100-continue'];
      const slow = await Promise.all(Array.from({ length: 16 }, () => upload(sidecar, waiting, '')));
      for (const each of slow) await each.received.untilText('100 Continue');
      const client = await upload(sidecar, ['content-length: 4'], 'body');
      await client.received.untilText('HTTP/1.1 ');
      assert.match(client.received.text, /^HTTP\/1\.1 403 /);
      assert.deepEqual([provider.seen.length, world.seen.length], [0, 0]);
      for (const each of [client, ...slow]) each.socket.destroy();
    });

    it('lets a client that waits for 100 Continue send it, and the application is not asked again', async () => {
      const sidecar = await start(limits(10));
      const client = await upload(sidecar, ['content-length: 4', 'expect: 100-continue'], '');
      await client.received.untilText('100 Continue');
      client.socket.write('body');
      await client.received.untilText('books');
      assert.equal(client.received.text.split('100 Continue').length, 2);
      assert.deepEqual([world.seen[0]?.body, world.seen[0]?.incoming.headers['expect']], ['body', undefined]);
      client.socket.destroy();
    });

    it('refuses one that is malformed, or breaks off, without asking', async () => {
      const sidecar = await start(limits(10));
      const client = await upload(sidecar, ['transfer-encoding: chunked'], 'z\r\n');
      await client.received.untilText('400 Bad Request');
      const left = await upload(sidecar, ['content-length: 4'], 'bo');
      left.socket.end();
      await left.received.untilClosed();
      assert.deepEqual([provider.seen.length, world.seen.length], [0, 0]);
    });

    it('serves the next request of a connection behind it', async () => {
      const sidecar = await start(limits(10));
      const client = await upload(sidecar, ['content-length: 4'], 'bodyGET /next HTTP/1.1\r\nhost: catalog\r\n\r\n');
      await client.received.until(({ text }) => text.split('books').length === 3);
      assert.deepEqual(
        world.seen.map(({ incoming, body }) => [incoming.url, body]),
        [
          ['/up', 'body'],
          ['/next', ''],
        ],
      );
      client.socket.destroy();
    });
  });
});
