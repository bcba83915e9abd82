import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ErrorCode } from '../../src/core/errors.ts';
import { createJwksUrl } from '../../src/token/jwks-url.ts';
import { parseKeyUrl } from '../../src/token/key-url.ts';
import { createOidcKeys } from '../../src/token/oidc-discovery.ts';
import { FakeClock } from '../fakes/clock.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesApi } from '../fakes/kubernetes-api.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { testKey } from '../fakes/tokens.ts';
import { refusal } from './refusals.ts';

const key = testKey('remote', 'ES256');
const set = { keys: [key.jwk] };
const header = { alg: 'ES256', kid: key.kid };

/** A plain server on loopback, closed after the test that started it. */
async function serve(context: Mocha.Context, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.test?.parent?.afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const parts = () => ({ clock: new FakeClock(), logger: new RecordingLogger() });

describe('the address of a key set', () => {
  for (const url of [
    'https://10.96.0.1/openid/v1/jwks',
    'http://localhost:8080/x',
    'http://127.9.0.1',
    'http://[::1]:1/',
  ]) {
    it(`may be ${url}`, () => assert.equal(parseKeyUrl(url).protocol, new URL(url).protocol));
  }
  const refused = [
    'http://kubernetes.default.svc/openid/v1/jwks',
    'http://127.0.0.1.example.org/',
    'http://localhost.example.org/',
    'http://2130706434.example/',
    'http://[::ffff:127.0.0.1]/',
    'https://user:password@host/',
    'https://host/?query',
    'https://host/#fragment',
    'file:///etc/jwks.json',
    'data:application/json,{}',
    'jwks.json',
    '',
    `https://host/${'x'.repeat(2_048)}`,
  ];
  for (const url of refused) {
    it(`is refused as ${JSON.stringify(url.slice(0, 50))}`, async () => {
      const error = await refusal('jwks_url_refused', () => parseKeyUrl(url));
      assert.doesNotMatch(error.message, /password@/);
    });
  }
});

describe('keys of a Kubernetes API server', () => {
  let api: FakeKubernetesApi;
  beforeEach(async () => (api = await FakeKubernetesApi.start()));
  afterEach(() => api.close());

  it('are fetched with its CA and a credential, both read again at each fetch', async function () {
    const { server, caFile, tokenFile } = api.writeAccess(temporaryFolder(this));
    api.documents.set('/openid/v1/jwks', set);
    const keys = createJwksUrl({ url: `${server}/openid/v1/jwks`, caFile, tokenFile, ...parts() });
    assert.equal((await keys.find(header)).length, 1);
    writeFileSync(tokenFile, 'a-later-one');
    await keys.reload();
    assert.deepEqual(
      api.requests.map((request) => request.authorization),
      ['Bearer the-credential-of-the-ca', 'Bearer a-later-one'],
    );
  });

  it('are not fetched from a server by another CA', async function () {
    const { server, tokenFile } = api.writeAccess(temporaryFolder(this));
    const keys = createJwksUrl({ url: `${server}/openid/v1/jwks`, tokenFile, ...parts() });
    await refusal('jwks_unreachable', () => keys.find(header));
    assert.deepEqual(api.requests, []);
  });

  it('are found by discovery', async function () {
    const { server, caFile, tokenFile } = api.writeAccess(temporaryFolder(this));
    api.documents.set('/.well-known/openid-configuration', { issuer: server, jwks_uri: `${server}/openid/v1/jwks` });
    api.documents.set('/openid/v1/jwks', set);
    const keys = createOidcKeys({ issuer: server, caFile, tokenFile, ...parts() });
    assert.equal((await keys.find(header)).length, 1);
  });

  it('that are published on another host are fetched without the credential', async function () {
    const folder = temporaryFolder(this);
    const seen: (string | undefined)[] = [];
    const elsewhere = await serve(this, (request, response) => {
      seen.push(request.headers.authorization);
      response.end(JSON.stringify(set));
    });
    const { server, caFile, tokenFile } = api.writeAccess(folder);
    api.documents.set('/.well-known/openid-configuration', { issuer: server, jwks_uri: `${elsewhere}/jwks` });
    const keys = createOidcKeys({ issuer: server, caFile, tokenFile, ...parts() });
    assert.equal((await keys.find(header)).length, 1);
    assert.deepEqual(seen, [undefined]);
  });

  const wrong: [string, (server: string) => unknown, ErrorCode][] = [
    [
      'names another issuer',
      (server) => ({ issuer: `${server}/other`, jwks_uri: `${server}/openid/v1/jwks` }),
      'oidc_issuer_mismatch',
    ],
    [
      'names the issuer with one slash more',
      (server) => ({ issuer: `${server}/`, jwks_uri: `${server}/openid/v1/jwks` }),
      'oidc_issuer_mismatch',
    ],
    ['names no issuer', (server) => ({ jwks_uri: `${server}/openid/v1/jwks` }), 'oidc_issuer_mismatch'],
    ['names no key set', (server) => ({ issuer: server }), 'jwks_invalid'],
    [
      'names a key set in plain http',
      (server) => ({ issuer: server, jwks_uri: 'http://10.0.0.1/jwks' }),
      'jwks_url_refused',
    ],
    ['is a list', () => [], 'jwks_invalid'],
  ];
  for (const [what, document, code] of wrong) {
    it(`are refused where the discovery document ${what}`, async function () {
      const { server, caFile, tokenFile } = api.writeAccess(temporaryFolder(this));
      api.documents.set('/.well-known/openid-configuration', document(server));
      api.documents.set('/openid/v1/jwks', set);
      await refusal(code, () => createOidcKeys({ issuer: server, caFile, tokenFile, ...parts() }).find(header));
    });
  }
});

describe('fetching a key set', () => {
  it('gives up when there is no whole answer in time, before or within it', async function () {
    for (const begun of [false, true]) {
      const clock = new FakeClock();
      const arrived = Promise.withResolvers<void>();
      const url = await serve(this, (_request, response) => {
        if (begun) response.write('{"keys":');
        arrived.resolve();
      });
      const keys = createJwksUrl({ url, timeout: 5_000, clock, logger: new RecordingLogger() });
      const failing = refusal('jwks_unreachable', () => keys.find(header));
      await arrived.promise;
      clock.advance(5_000);
      assert.match((await failing).message, /no whole answer within 5000 ms/);
      assert.equal(clock.nextDue, undefined, 'no timer is left');
    }
  });

  it('gives up on an answer that is too large, and does not read on', async function () {
    const cut = Promise.withResolvers<void>();
    const url = await serve(this, (_request, response) => {
      response.on('close', () => cut.resolve());
      response.on('error', () => undefined);
      const pour = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
      };
      response.on('drain', pour);
      pour();
    });
    const error = await refusal('jwks_unreachable', () => createJwksUrl({ url, ...parts() }).find(header));
    assert.match(error.message, /larger than 262144 bytes/);
    await cut.promise;
  });

  it('follows no redirect', async function () {
    const paths: (string | undefined)[] = [];
    const url = await serve(this, (request, response) => {
      paths.push(request.url);
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    const error = await refusal('jwks_unreachable', () => createJwksUrl({ url, ...parts() }).find(header));
    assert.match(error.message, /status 302; redirects are not followed/);
    assert.deepEqual(paths, ['/']);
  });

  const failing: [string, RequestListener, RegExp][] = [
    ['an error status', (_request, response) => void response.writeHead(500).end('secret words'), /status 500/],
    ['a closed connection', (request) => void request.socket.destroy(), /socket hang up|ECONNRESET/],
    [
      'an answer that is cut off',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{"keys":[]}', () => request.socket.destroy());
      },
      /aborted|cut off|ECONNRESET/,
    ],
  ];
  for (const [what, listener, reason] of failing) {
    it(`fails with ${what}, and quotes no answer`, async function () {
      const url = await serve(this, listener);
      const error = await refusal('jwks_unreachable', () => createJwksUrl({ url, ...parts() }).find(header));
      assert.match(error.message, reason);
      assert.doesNotMatch(error.message, /secret words/);
    });
  }
});
