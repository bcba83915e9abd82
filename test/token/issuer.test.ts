import { strict as assert } from 'node:assert';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import { createTokenIssuer, type TokenRequest } from '../../src/token/issuer.ts';
import { validateServiceAccountToken } from '../../src/token/service-account-token.ts';
import { FakeClock } from '../fakes/clock.ts';
import { testKey } from '../fakes/tokens.ts';
import { assertHoldsNoToken, refusal } from './refusals.ts';

const URL_OF_ISSUER = 'https://localhost:15012';
const request: TokenRequest = {
  namespace: 'shop',
  serviceAccount: 'catalog',
  pod: { name: 'catalog', uid: 'b0b3c0de-0000-4000-8000-000000000001' },
};

describe('the embedded token issuer', () => {
  const clock = new FakeClock('2026-01-01T00:00:00.400Z');
  const start = (more: object = {}) =>
    createTokenIssuer({ privateKey: testKey('issuer').privateKey, url: URL_OF_ISSUER, clock, randomBytes, ...more });

  it('mints what the verifier of service account tokens accepts', async () => {
    const issuer = await start();
    const minted = issuer.mint(request);
    const claims = await validateServiceAccountToken(minted.token, {
      issuer: URL_OF_ISSUER,
      audiences: ['istio-ca'],
      keys: issuer.keys,
      clock,
      leeway: 0,
    });
    assert.deepEqual([claims.namespace, claims.serviceAccount, claims.pod], ['shop', 'catalog', request.pod]);
    assert.deepEqual([claims.id, claims.expiresAt], [minted.id, minted.expiresAt]);
    assert.equal(minted.expiresAt, Date.parse('2026-01-01T01:00:00Z'));
  });

  it('mints what jose accepts with its published key set', async () => {
    const issuer = await start();
    const published = JSON.parse(JSON.stringify(issuer.jwks)) as JSONWebKeySet;
    const { payload, protectedHeader } = await jwtVerify(
      issuer.mint({ ...request, audiences: ['a', 'b'], ttl: 60_000 }).token,
      createLocalJWKSet(published),
      { issuer: URL_OF_ISSUER, audience: 'b', algorithms: ['RS256'], currentDate: new Date(clock.now()) },
    );
    assert.deepEqual(protectedHeader, { alg: 'RS256', kid: issuer.kid, typ: 'JWT' });
    assert.deepEqual(Object.keys(payload).sort(), ['aud', 'exp', 'iat', 'iss', 'jti', 'kubernetes.io', 'nbf', 'sub']);
  });

  it('publishes no private part of its key', async () => {
    const { jwks } = await start();
    assert.deepEqual(Object.keys(jwks.keys[0] ?? {}).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use']);
  });

  it('publishes the keys it has retired, so that tokens by them are still verified', async () => {
    const before = await start();
    const token = before.mint(request).token;
    const after = await start({ privateKey: testKey('next').privateKey, retired: [testKey('issuer').publicKey] });
    assert.notEqual(after.kid, before.kid);
    const options = { issuer: URL_OF_ISSUER, audiences: ['istio-ca'], keys: after.keys, clock };
    assert.ok(await validateServiceAccountToken(token, options));
  });

  it('describes itself as OIDC discovery asks, with the key set below its own address', async () => {
    const { discovery } = await start({ url: 'https://ca.example/path/' });
    assert.equal(discovery['issuer'], 'https://ca.example/path/');
    assert.equal(discovery['jwks_uri'], 'https://ca.example/path/openid/v1/jwks');
  });

  it('gives each token its own id, and an account the same uid always', async () => {
    const issuer = await start();
    const options = { issuer: URL_OF_ISSUER, audiences: ['istio-ca'], keys: issuer.keys, clock };
    const read = (account: TokenRequest) => validateServiceAccountToken(issuer.mint(account).token, options);
    const [one, two, other] = [await read(request), await read(request), await read({ ...request, namespace: 'bank' })];
    assert.notEqual(one.id, two.id);
    assert.equal(one.serviceAccountUid, two.serviceAccountUid);
    assert.notEqual(one.serviceAccountUid, other.serviceAccountUid);
    assert.match(one.serviceAccountUid, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('shows no token when it is logged, inspected or written as JSON (invariant 2)', async () => {
    const minted = (await start()).mint(request);
    assertHoldsNoToken({ minted }, minted.token);
    assert.match(inspect(minted), /redacted/);
  });

  const refused: [string, Partial<TokenRequest>, RegExp][] = [
    ['a namespace with a separator', { namespace: 'a:b' }, /namespace/],
    ['a namespace above', { namespace: '..' }, /namespace/],
    ['a service account with a slash', { serviceAccount: 'a/b' }, /service account/],
    ['a pod without a name', { pod: { name: '', uid: 'x' } }, /pod/],
    ['no audience', { audiences: [] }, /audiences/],
    ['an empty audience', { audiences: [''] }, /audiences/],
    ['no lifetime', { ttl: 0 }, /lifetime/],
    ['a lifetime that is no number', { ttl: Number.NaN }, /lifetime/],
    ['a lifetime above the limit', { ttl: 86_400_001 }, /lifetime/],
  ];
  for (const [what, wrong, reason] of refused) {
    it(`mints nothing for ${what}`, async () => {
      const issuer = await start();
      assert.match(
        (await refusal('token_request_invalid', () => issuer.mint({ ...request, ...wrong }))).message,
        reason,
      );
    });
  }

  it('takes no key but an RSA key of 2048 bits or more, and no address that keys are not fetched from', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    await refusal('token_request_invalid', () => start({ privateKey }));
    await refusal('token_request_invalid', () => start({ privateKey: testKey('issuer', 'ES256').privateKey }));
    await refusal('jwks_url_refused', () => start({ url: 'http://ca.example' }));
  });
});
