import { strict as assert } from 'node:assert';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { findDecisions } from '../../src/cli/find-decisions.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { RunningCa } from '../fakes/running-ca.ts';
import { signToken, testKey, type TestKey } from '../fakes/tokens.ts';
import { documents, http, serviceEntry, workloadEntry } from '../fakes/shop-documents.ts';
import { httpCall, type HttpAnswer } from './http-call.ts';
import { RunningProxy } from './running-proxy.ts';

const NET = loopbackNet();

describe('tokens of requests, with CA, sidecar and an issuer', function () {
  this.timeout(90_000);
  let ca: RunningCa;
  let proxy: RunningProxy;
  let application: Server;
  let issuer: Server;
  let issuerUrl: string;
  let port: number;
  let keys: readonly TestKey[] = [testKey('issuer')];
  let readings = 0;
  const seen: IncomingMessage[] = [];

  const listen = async (server: Server): Promise<number> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  before(async function () {
    application = createServer((incoming, answer) => {
      seen.push(incoming);
      answer.end('books');
    });
    port = await listen(application);
    issuer = createServer((incoming, answer) => {
      const discovery = { issuer: issuerUrl, jwks_uri: `${issuerUrl}/keys` };
      if (incoming.url === '/keys') readings += 1;
      answer.end(JSON.stringify(incoming.url === '/keys' ? { keys: keys.map(({ jwk }) => jwk) } : discovery));
    });
    issuerUrl = `http://127.0.0.1:${await listen(issuer)}`;
    const folder = temporaryFolder(this);
    ca = await RunningCa.start(folder, ['--ca-key-sets-allow-addresses', '127.0.0.1']);
    writeFileSync(
      join(folder, 'resources/shop.yaml'),
      `
${documents(
  workloadEntry('catalog', { address: `${NET}.2`, ports: { http: port } }),
  serviceEntry('catalog', [{ ...http(80), targetPort: port }]),
)}---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec:
  jwtRules: [{ issuer: "${issuerUrl}", outputClaimToHeaders: [{ header: x-user, claim: sub }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: tokens, namespace: shop }
spec:
  rules: [{ from: [{ source: { requestPrincipals: ["${issuerUrl}/*"] } }] }]
`,
    );
    proxy = await RunningProxy.start({ ca, workload: 'shop/catalog', flags: ['--access-log', 'all'] });
  });

  after(async () => {
    await proxy?.stop('SIGKILL');
    await ca?.stop();
    application?.close();
    issuer?.close();
  });

  const call = (token?: string, headers: Record<string, string> = {}): Promise<HttpAnswer> =>
    httpCall(`${NET}.2`, port, {
      path: '/books',
      headers: { host: 'catalog', ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    });
  const token = (key: TestKey, more: Record<string, unknown> = {}): string =>
    signToken(key, { iss: issuerUrl, sub: 'ann', exp: Math.floor(Date.now() / 1_000) + 600, ...more });

  it('are verified by keys that the CA found and pushed, and tell the application who calls', async () => {
    await eventually(async () => (await call(token(testKey('issuer')))).status === 200);
    const received = seen.at(-1)?.headers;
    assert.deepEqual([received?.['x-user'], received?.['authorization']], ['ann', undefined]);
    const without = await call(undefined, { 'x-user': 'root' });
    assert.deepEqual([without.status, without.body], [403, 'RBAC: access denied']);
    const expired = await call(token(testKey('issuer'), { exp: 1 }));
    assert.deepEqual([expired.status, expired.body], [401, 'Jwt is expired']);
    assert.match(String(expired.headers['www-authenticate']), /^Bearer realm="http:.*", error="invalid_token"$/);
  });

  it('by a key that the issuer has only just made are good at once, and a flood of unknown ones costs it little', async () => {
    const before = readings;
    keys = [testKey('issuer'), testKey('rotated')];
    const answer = await call(token(testKey('rotated')));
    assert.deepEqual([answer.status, readings - before], [200, 1]);
    const unknown = token(testKey('stranger'));
    const answers = await Promise.all(Array.from({ length: 30 }, () => call(unknown)));
    assert.ok(answers.every(({ status, body }) => status === 401 && body.startsWith("Jwks doesn't have key")));
    assert.ok(readings - before <= 4, `${readings - before} readings`);
  });

  it('are explained where they were refused, by the RequestAuthentication that did', async () => {
    const refused = await call(token(testKey('issuer'), { exp: 1 }));
    const id = String(refused.headers['x-request-id']);
    assert.equal(refused.status, 401);
    const logged = 'Jwt is expired, by RequestAuthentication shop/tokens (issuer ';
    await eventually(() =>
      JSON.stringify(proxy.access.filter((line) => JSON.stringify(line).includes(id))).includes(logged),
    );
    const { found } = await findDecisions(id, { folders: [ca.folder] });
    assert.deepEqual(
      found.map(({ decision: { verdict } }) => [verdict.allow, verdict.decidedBy, verdict.details]),
      [[false, 'token', 'jwt_authn_access_denied{Jwt_is_expired}']],
    );
  });

  it('stand in no log (invariant 2)', async () => {
    const secret = token(testKey('issuer'), { exp: 1 });
    await httpCall(`${NET}.2`, port, { path: `/x?access_token=${secret}`, headers: { host: 'catalog' } });
    await eventually(() => JSON.stringify(proxy.access).includes('jwt_authn_access_denied'));
    for (const text of [proxy.access, proxy.log, ca.log].map((lines) => JSON.stringify(lines))) {
      assert.ok(!text.includes(secret.slice(0, 40)));
      assert.ok(!text.includes('eyJ'));
    }
  });

  it('are verified while the CA is away (invariant 9)', async () => {
    await ca.stop();
    assert.equal((await call(token(testKey('rotated')))).status, 200);
    const answer = await call(token(testKey('stranger')));
    assert.equal(answer.status, 401);
  });
});
