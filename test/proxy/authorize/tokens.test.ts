import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import fc from 'fast-check';
import type { KeySets } from '../../../proxy/authorize/tokens/key-sets.ts';
import { readJwkSet, type JwkSet } from '../../../src/token/jwks.ts';
import { readRequestToken, RequestToken, TOKEN_FAULTS } from '../../../src/token/request-token.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import { encodePart, signToken, testKey, type TestKey } from '../../fakes/tokens.ts';
import { sidecarConfig, TestConfig, workload, type ConfigFields } from '../sidecar-world.ts';
import { NO_KEYS, tokenAsker } from './ask-tokens.ts';

const [key, second] = [testKey('issuer'), testKey('second')];
const setOf = (...keys: readonly TestKey[]): string => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
const read = (...keys: readonly TestKey[]): JwkSet => readJwkSet(Buffer.from(setOf(...keys)));
const issuer = 'https://issuer.example.org';
const inline = { issuer, jwks: setOf(key) };
const NOW = Date.UTC(2026, 0, 1);
const claims = (more: Record<string, unknown> = {}) => ({ iss: issuer, sub: 'ann', exp: NOW / 1_000 + 600, ...more });

describe('the tokens of requests', () => {
  let rootsPem: string;
  let now: number;
  const clock = { now: () => now };
  const own = workload({ name: 'catalog' });

  before(async () => {
    rootsPem = (await TestMesh.create()).rootPem;
  });
  beforeEach(() => {
    now = NOW;
  });

  const configOf = (rules: readonly object[], more: Partial<ConfigFields> = {}) =>
    sidecarConfig({ workload: own, rootsPem, authentications: { tokens: { jwtRules: rules } }, ...more });
  const asker = (rules: readonly object[], more: Partial<ConfigFields> = {}, keys: KeySets = NO_KEYS) =>
    tokenAsker(new TestConfig(configOf(rules, more)), { clock, keys });
  const bearer = (token: string, more: Record<string, string> = {}) => ({
    path: '/',
    headers: { authorization: `Bearer ${token}`, ...more },
  });

  it('are judged by policy: principal, audiences, presenter, nested claims, lists and scopes', async () => {
    const rule = {
      from: [{ source: { requestPrincipals: [`${issuer}/ann`] } }],
      when: [
        { key: 'request.auth.audiences', values: ['shop'] },
        { key: 'request.auth.presenter', values: ['web'] },
        { key: 'request.auth.claims[realm][roles]', values: ['buyer'] },
        { key: 'request.auth.claims[scope]', values: ['read'] },
        { key: 'request.auth.claims[rights]', values: ['b'] },
      ],
    };
    const ask = asker([{ ...inline, spaceDelimitedClaims: ['rights'] }], { policies: { allow: { rules: [rule] } } });
    const all = {
      aud: ['x', 'shop'],
      azp: 'web',
      realm: { roles: ['a', 'buyer'] },
      scope: 'read write',
      rights: 'a b',
    };
    assert.equal((await ask(bearer(signToken(key, claims(all))))).status, 200);
    for (const change of [
      { sub: 'eve' },
      { aud: 'x' },
      { azp: 'other' },
      { realm: { roles: ['a'] } },
      { scope: 'write' },
      { rights: 'a' },
    ]) {
      const answer = await ask(bearer(signToken(key, claims({ ...all, ...change }))));
      assert.equal(answer.details, 'rbac_access_denied_matched_policy[none]', JSON.stringify(change));
    }
    assert.equal((await ask({ path: '/', headers: {} })).details, 'rbac_access_denied_matched_policy[none]');
  });

  it('are no identity before they are verified (invariant 8)', async () => {
    const policies = { allow: { rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }] } };
    const ask = asker([inline], { policies });
    const forged = signToken(second, claims(), { alg: 'RS256', kid: key.kid });
    assert.equal((await ask(bearer(forged))).body, TOKEN_FAULTS.signature);
    const without = tokenAsker(new TestConfig(sidecarConfig({ workload: own, rootsPem, policies })), { clock });
    assert.equal((await without(bearer(signToken(key, claims())))).details, 'rbac_access_denied_matched_policy[none]');
  });

  it('may be missing, except where a rule requires one', async () => {
    const nothing = { path: '/a?b=c', headers: {} };
    assert.equal((await asker([inline])(nothing)).status, 200);
    const refused = await asker([
      { ...inline, presence: 'REQUIRED' },
      { issuer: 'https://b', jwks: setOf(key) },
    ])(nothing);
    assert.deepEqual(
      [refused.status, refused.body, refused.details, refused.challenge],
      [401, 'Jwt is missing', 'jwt_authn_access_denied{Jwt_is_missing}', 'Bearer realm="http://catalog.shop:8080/a"'],
    );
  });

  it('never lend their output headers to a client, in whatever spelling (invariant 6)', async () => {
    const rule = {
      ...inline,
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }],
    };
    const spoofed = { 'X-User': 'root', x_user: 'root', 'x-payload': 'x', X_PAYLOAD: 'x' };
    const policies = {
      none: { action: 'DENY', rules: [{ when: [{ key: 'request.headers[x-user]', values: ['root'] }] }] },
    };
    const ask = asker([rule], { policies });
    const bare = await ask({ path: '/', headers: spoofed });
    assert.deepEqual(Object.keys(bare.received), ['host']);
    const preflight = { origin: 'https://x', 'access-control-request-method': 'PUT', ...spoofed };
    const preflighted = await ask({ method: 'OPTIONS', path: '/', headers: preflight });
    assert.deepEqual(Object.keys(preflighted.received).sort(), ['access-control-request-method', 'host', 'origin']);
    const good = await ask(bearer(signToken(key, claims()), spoofed));
    assert.equal(good.received['x-user'], 'ann');
    assert.deepEqual(Object.keys(good.received).sort(), ['host', 'x-payload', 'x-user']);
  });

  it('write no line of their own into a request (invariant 6)', async () => {
    const ask = asker([{ ...inline, outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }] }]);
    const answer = await ask(bearer(signToken(key, claims({ sub: 'a\r\nx-admin: 1' }))));
    assert.deepEqual(Object.keys(answer.received), ['host']);
  });

  it('have to be good wherever the application might read one instead of the one that was', async () => {
    const [good, forged] = [
      signToken(key, claims()),
      signToken(second, claims({ sub: 'root' }), { alg: 'RS256', kid: key.kid }),
    ];
    const forwarding = asker([{ ...inline, forwardOriginalToken: true }]);
    const cookies = asker([{ ...inline, fromCookies: ['c'], fromParams: ['t'] }]);
    const plain = asker([inline]);
    const status = async (ask: typeof plain, path: string, headers: Record<string, string> = {}) =>
      (await ask({ path, headers })).status;
    for (const [first, other] of [
      [good, forged],
      [forged, good],
    ] as const) {
      assert.equal(await status(forwarding, `/?access_token=${first}&access%5Ftoken=${other}`), 401);
      assert.equal(await status(cookies, '/', { cookie: `c=${first}; c="${other}"` }), 401);
      assert.equal(await status(plain, `/?access_token=${first}`, { authorization: `bearer ${other}` }), 401);
      assert.equal(await status(plain, `/?access_token=${first}`, { authorization: `BEARER\t${other}` }), 401);
      assert.equal(await status(forwarding, '/', { authorization: `bearer ${first}, Bearer ${other}` }), 401);
    }
    assert.equal(await status(forwarding, `/?access_token=${good}&access_token=${good}`), 200);
    assert.equal(await status(cookies, '/', { cookie: `c=${good}; c=${good}` }), 200);
    // What does not reach the application cannot be read by it, so the first counts, as with Envoy.
    const twice = await plain({ path: `/?access_token=${good}&access_token=${forged}`, headers: {} });
    assert.deepEqual([twice.status, twice.path], [200, '/']);
    const lower = await plain({ path: '/', headers: { authorization: `bearer ${good}` } });
    assert.deepEqual([lower.status, lower.received['authorization']], [200, undefined]);
  });

  it('are looked for in little time, however a query is written', async () => {
    const ask = asker([{ ...inline }, { ...inline, fromParams: ['t'] }]);
    const broken = Array.from({ length: 20_000 }, () => '%80').join('&');
    const began = process.cpuUsage();
    for (let round = 0; round < 10; round += 1) await ask({ path: `/?${broken.slice(0, 55_000)}`, headers: {} });
    const { user } = process.cpuUsage(began);
    assert.ok(user < 300_000, `${user / 10_000} ms for each request`);
  });

  it('are taken out of a query byte for byte, and never named in an answer (invariant 2)', async () => {
    const token = signToken(key, claims());
    const ask = asker([inline]);
    const passed = await ask({ path: `/a?b=a+b%2f&c&&d=&access_token=${token}&e`, headers: {} });
    assert.equal(passed.path, '/a?b=a+b%2f&c&&d=&e');
    const old = signToken(key, claims({ exp: 1 }));
    const refused = await ask({ path: `/a?access_token=${old}`, headers: {} });
    assert.equal(refused.status, 401);
    assert.ok(!JSON.stringify(refused).includes(old.slice(0, 20)));
  });

  it('are not remembered beyond their time, nor beyond the keys that signed them', async () => {
    let set = read(key);
    const keys: KeySets = { find: () => set, askAgain: () => undefined };
    const ask = asker([{ issuer }], {}, keys);
    const call = bearer(signToken(key, claims()));
    assert.equal((await ask(call)).status, 200);
    now = NOW + 600_000 + 59_000;
    assert.equal((await ask(call)).status, 200);
    now += 2_000;
    assert.equal((await ask(call)).body, 'Jwt is expired');
    now = NOW;
    assert.equal((await ask(call)).status, 200);
    set = read(second);
    assert.equal((await ask(call)).body, TOKEN_FAULTS.noKey);
  });

  it('of an issuer whose keys were never read are refused (invariant 5)', async () => {
    const answer = await asker([{ issuer }])(bearer(signToken(key, claims())));
    assert.deepEqual([answer.status, answer.body], [401, 'Jwks remote fetch is failed']);
  });

  it('by a key that is not known wait for the CA to look again, once, and for no other fault', async () => {
    let set = read(key);
    const asked: [string, number][] = [];
    const waiting: PromiseWithResolvers<void>[] = [];
    const keys: KeySets = {
      find: () => set,
      askAgain: (name, wait) => {
        asked.push([name, wait]);
        const pending = Promise.withResolvers<void>();
        waiting.push(pending);
        return pending.promise;
      },
    };
    const ask = asker([{ issuer, jwksUri: 'https://issuer.example.org/keys', timeout: '2s' }], {}, keys);
    await ask(bearer(signToken(second, claims(), { alg: 'RS256', kid: key.kid })));
    await ask(bearer(signToken(second, claims({ exp: 1 }))));
    await ask(bearer('garbage'));
    assert.deepEqual(asked, []);
    const found = ask(bearer(signToken(second, claims())));
    set = read(key, second);
    waiting[0]?.resolve();
    assert.equal((await found).status, 200);
    assert.deepEqual(asked, [['jwks https://issuer.example.org/keys', 2_000]]);
    set = read(key);
    const missed = ask(bearer(signToken(second, claims())));
    waiting[1]?.resolve();
    assert.equal((await missed).body, TOKEN_FAULTS.noKey);
  });

  it('show nothing of themselves (invariant 2)', () => {
    const token = readRequestToken(signToken(key, claims()));
    assert.ok(token instanceof RequestToken);
    assert.doesNotMatch(`${JSON.stringify({ token })} ${inspect(token)}`, /ann|eyJ/);
  });

  describe('whatever is sent', () => {
    const words = Object.keys(TOKEN_FAULTS);
    const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value));
    const part = fc.oneof(fc.string(), json.map(encodePart), fc.base64String());

    it('is read without an exception', () => {
      fc.assert(
        fc.property(
          fc.oneof(
            fc.string(),
            fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
          ),
          (text) => {
            const read = readRequestToken(text);
            assert.ok(read instanceof RequestToken || words.includes(read));
            if (read instanceof RequestToken) assert.notEqual(read.verify([]), undefined);
          },
        ),
        { numRuns: 500 },
      );
    });

    it('does not pass, unless the issuer signed it', async () => {
      const ask = asker([{ ...inline, presence: 'REQUIRED' }]);
      const good = signToken(key, claims());
      const mutated = fc
        .tuple(fc.nat(good.length - 1), fc.constantFrom('a', 'Z', '0', '-', '_', '.', '=', '%'))
        .map(([at, letter]) => good.slice(0, at) + letter + good.slice(at + 1));
      await fc.assert(
        fc.asyncProperty(
          fc.oneof(
            mutated,
            fc.array(part, { maxLength: 4 }).map((parts) => parts.join('.')),
          ),
          async (text) => {
            if (text === good || !/^[\x21-\x7e]+$/.test(text)) return;
            assert.equal((await ask(bearer(text))).status, 401);
          },
        ),
        { numRuns: 500 },
      );
    });
  });
});
