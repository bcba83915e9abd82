import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { jwtVerify } from 'jose';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';
import { parseJwkSet } from '../../src/token/jwks.ts';
import { createFixedKeys, type KeySource } from '../../src/token/key-source.ts';
import { validateServiceAccountToken, type ServiceAccountClaims } from '../../src/token/service-account-token.ts';
import { FakeClock } from '../fakes/clock.ts';
import {
  encodePart,
  serviceAccountClaims,
  signToken,
  signWithPublicKeyAsSecret,
  testKey,
  type TestKey,
} from '../fakes/tokens.ts';
import { assertHoldsNoToken, refusal } from './refusals.ts';

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const NOW = Date.parse('2026-01-01T00:00:00Z');
const key = testKey('cluster');
const claims = serviceAccountClaims(NOW);
const kubernetes = claims['kubernetes.io'] as Record<string, unknown>;

async function keysOf(...members: Readonly<Record<string, unknown>>[]): Promise<KeySource> {
  return createFixedKeys('the test', await parseJwkSet(Buffer.from(JSON.stringify({ keys: members }))));
}

async function validate(token: string, keys?: KeySource): Promise<ServiceAccountClaims> {
  return validateServiceAccountToken(token, {
    issuer: ISSUER,
    audiences: ['istio-ca', 'sealwright'],
    keys: keys ?? (await keysOf(key.jwk)),
    clock: new FakeClock(NOW),
  });
}

describe('a service account token', () => {
  it('is read into account, pod, node, times, audiences and id', async () => {
    assert.deepEqual(await validate(signToken(key, claims)), {
      namespace: 'shop',
      serviceAccount: 'catalog',
      serviceAccountUid: '1e8b0b3c-0000-4000-8000-000000000001',
      pod: { name: 'catalog-7d9f', uid: '1e8b0b3c-0000-4000-8000-000000000002' },
      node: { name: 'node-1', uid: '1e8b0b3c-0000-4000-8000-000000000003' },
      id: '4f3f1c1e-6d1e-4c55-9c1b-0d2b6f3a7e11',
      issuedAt: NOW,
      expiresAt: NOW + 3_600_000,
      audiences: ['istio-ca'],
    });
  });

  it('may be bound to no pod, and have one audience as a text', async () => {
    const { pod, node, ...bound } = kubernetes;
    assert.ok(pod !== undefined && node !== undefined);
    const read = await validate(
      signToken(key, { ...claims, aud: 'sealwright', 'kubernetes.io': bound, jti: undefined }),
    );
    assert.deepEqual([read.pod, read.node, read.id, read.audiences], [undefined, undefined, undefined, ['sealwright']]);
  });

  for (const alg of [
    'RS256',
    'RS384',
    'RS512',
    'PS256',
    'PS384',
    'PS512',
    'ES256',
    'ES384',
    'ES512',
    'EdDSA',
    'Ed25519',
  ]) {
    it(`is accepted when it is signed with ${alg}, by us and by jose`, async () => {
      const signer = testKey('any', alg);
      const token = signToken(signer, claims);
      assert.equal((await validate(token, await keysOf(signer.jwk))).serviceAccount, 'catalog');
      const judged = await jwtVerify(token, signer.publicKey, { issuer: ISSUER, currentDate: new Date(NOW) });
      assert.equal(judged.payload.sub, claims['sub']);
    });
  }

  const otherNames = (names: Record<string, unknown>): Record<string, unknown> => ({
    ...claims,
    'kubernetes.io': { ...kubernetes, ...names },
  });
  const at = (seconds: number): number => NOW / 1_000 + seconds;
  const refused: [string, ErrorCode, () => string, RegExp?][] = [
    ['that is no JWT', 'token_malformed', () => 'not-a-token'],
    [
      'without signature and with alg none',
      'token_malformed',
      () => `${encodePart({ alg: 'none' })}.${encodePart(claims)}.`,
    ],
    [
      'with alg none and some signature',
      'token_algorithm',
      () => signToken(key, claims, { alg: 'none', kid: key.kid }),
    ],
    ['with alg None', 'token_algorithm', () => signToken(key, claims, { alg: 'None', kid: key.kid })],
    ['signed by HMAC with the public key as secret', 'token_algorithm', () => signWithPublicKeyAsSecret(key, claims)],
    [
      'whose alg is another than the key is published for',
      'token_algorithm',
      () => signToken({ ...key, alg: 'RS512' }, claims),
      /got: "RS512", wanted: "RS256"/,
    ],
    [
      'whose alg does not fit the type of the key',
      'token_algorithm',
      () => signToken(key, claims, { alg: 'ES256', kid: key.kid }),
    ],
    [
      'signed by another key under the same kid',
      'token_signature',
      () => signToken({ ...testKey('other'), kid: key.kid }, claims),
    ],
    [
      'signed by another key without kid',
      'token_signature',
      () => signToken(testKey('other'), claims, { alg: 'RS256' }),
    ],
    ['with an unknown kid', 'token_key_unknown', () => signToken(testKey('other'), claims), /kid: "other-RS256"/],
    [
      'that has expired',
      'token_expired',
      () => signToken(key, { ...claims, iat: at(-7_200), nbf: at(-7_200), exp: at(-3_600) }),
      /expired: "2025-12-31T23:00:00.000Z", now: "2026-01-01T00:00:00.000Z"/,
    ],
    ['that expired a leeway ago to the second', 'token_expired', () => signToken(key, { ...claims, exp: at(-60) })],
    [
      'that is not valid yet',
      'token_not_yet_valid',
      () => signToken(key, { ...claims, nbf: at(600) }),
      /validFrom: "2026-01-01T00:10:00.000Z", now: "2026-01-01T00:00:00.000Z"/,
    ],
    [
      'that is issued in the future',
      'token_not_yet_valid',
      () => signToken(key, { ...claims, iat: at(61), nbf: undefined }),
    ],
    ['of another issuer', 'token_issuer', () => signToken(key, { ...claims, iss: `${ISSUER}/` }), /wanted: "https:/],
    ['without issuer', 'token_issuer', () => signToken(key, { ...claims, iss: undefined })],
    [
      'for another audience',
      'token_audience',
      () => signToken(key, { ...claims, aud: ['https://kubernetes.default.svc', 'vault'] }),
      /got: "https:\/\/kubernetes.default.svc vault", wanted: "istio-ca sealwright"/,
    ],
    ['without audience', 'token_audience', () => signToken(key, { ...claims, aud: undefined })],
    ['for an empty list of audiences', 'token_audience', () => signToken(key, { ...claims, aud: [] })],
    ['whose aud is a number', 'token_claims', () => signToken(key, { ...claims, aud: 1 }), /claim: "aud"/],
    ['whose aud holds a number', 'token_claims', () => signToken(key, { ...claims, aud: ['istio-ca', 1] }), /"aud"/],
    ['without exp', 'token_claims', () => signToken(key, { ...claims, exp: undefined }), /claim: "exp"/],
    ['whose exp is a text', 'token_claims', () => signToken(key, { ...claims, exp: String(at(60)) }), /claim: "exp"/],
    ['whose exp is negative', 'token_claims', () => signToken(key, { ...claims, exp: -1 }), /claim: "exp"/],
    [
      'whose exp is beyond all numbers',
      'token_claims',
      () => signToken(key, JSON.stringify({ ...claims, exp: 77 }).replace('"exp":77', '"exp":1e400')),
      /claim: "exp"/,
    ],
    ['without iat', 'token_claims', () => signToken(key, { ...claims, iat: undefined }), /claim: "iat"/],
    ['whose nbf is a list', 'token_claims', () => signToken(key, { ...claims, nbf: [at(0)] }), /claim: "nbf"/],
    ['whose jti is a number', 'token_claims', () => signToken(key, { ...claims, jti: 7 }), /claim: "jti"/],
    ['whose jti has a line break', 'token_claims', () => signToken(key, { ...claims, jti: 'a\nb' }), /claim: "jti"/],
    ['of a person', 'token_claims', () => signToken(key, { ...claims, sub: 'alice@example.org' }), /claim: "sub"/],
    ['of a node', 'token_claims', () => signToken(key, { ...claims, sub: 'system:node:node-1' }), /claim: "sub"/],
    ['without subject', 'token_claims', () => signToken(key, { ...claims, sub: undefined }), /claim: "sub"/],
    [
      'whose subject has five parts',
      'token_claims',
      () => signToken(key, { ...claims, sub: 'system:serviceaccount:shop:catalog:x' }),
    ],
    [
      'whose subject has three parts',
      'token_claims',
      () => signToken(key, { ...claims, sub: 'system:serviceaccount:shop' }),
    ],
    [
      'whose subject has an upper-case part',
      'token_claims',
      () => signToken(key, { ...claims, sub: 'System:serviceaccount:shop:catalog' }),
    ],
    [
      'of a legacy secret',
      'token_claims',
      () => signToken(key, { ...claims, 'kubernetes.io': undefined }),
      /kubernetes.io/,
    ],
    [
      'whose sub and namespace disagree',
      'token_claims',
      () => signToken(key, otherNames({ namespace: 'bank' })),
      /namespace/,
    ],
    [
      'whose sub and service account disagree',
      'token_claims',
      () => signToken(key, otherNames({ serviceaccount: { name: 'admin', uid: 'u' } })),
      /serviceaccount.name/,
    ],
    ['without service account', 'token_claims', () => signToken(key, otherNames({ serviceaccount: undefined }))],
    [
      'whose service account has no uid',
      'token_claims',
      () => signToken(key, otherNames({ serviceaccount: { name: 'catalog' } })),
      /uid/,
    ],
    ['whose pod is a text', 'token_claims', () => signToken(key, otherNames({ pod: 'catalog-7d9f' })), /pod/],
    [
      'whose pod has no uid',
      'token_claims',
      () => signToken(key, otherNames({ pod: { name: 'catalog-7d9f' } })),
      /pod.uid/,
    ],
    [
      'whose pod name is a path',
      'token_claims',
      () => signToken(key, otherNames({ pod: { name: '../x', uid: 'u' } })),
      /pod.name/,
    ],
  ];
  for (const namespace of ['a/sa/b', '..', '.', 'a/b', 'shop.', 'a.b', 'Shop', 'shop ', '-shop', 's'.repeat(64), '']) {
    refused.push([
      `whose namespace is ${JSON.stringify(namespace.slice(0, 12))}`,
      'token_claims',
      () => signToken(key, { ...otherNames({ namespace }), sub: `system:serviceaccount:${namespace}:catalog` }),
      /claim: "sub"/,
    ]);
  }
  for (const account of ['a/b', '..', 'a..b', '.a', 'A', 'a_b', 'a%2fb', 'a\u0000', 'ä', 'a'.repeat(254)]) {
    refused.push([
      `whose service account is ${JSON.stringify(account.slice(0, 12))}`,
      'token_claims',
      () =>
        signToken(key, {
          ...otherNames({ serviceaccount: { name: account, uid: 'u' } }),
          sub: `system:serviceaccount:shop:${account}`,
        }),
      /claim: "sub"/,
    ]);
  }
  for (const [what, code, token, message] of refused) {
    it(`${what} is refused as ${code} (invariant 2)`, async () => {
      const text = token();
      const error = await refusal(code, () => validate(text));
      if (message !== undefined) assert.match(error.message, message);
      assertHoldsNoToken([error, error.stack, error.toJSON()], text);
    });
  }

  it('is refused where no audience is wanted', async () => {
    const options = { issuer: ISSUER, audiences: [], keys: await keysOf(key.jwk), clock: new FakeClock(NOW) };
    await refusal('token_audience', () => validateServiceAccountToken(signToken(key, claims), options));
  });

  it('is accepted within the leeway before and after its time, and not beyond', async () => {
    const clock = new FakeClock(NOW - 60_000);
    const options = { issuer: ISSUER, audiences: ['istio-ca'], keys: await keysOf(key.jwk), clock };
    const token = signToken(key, claims);
    assert.ok(await validateServiceAccountToken(token, options));
    clock.advance(60_000 + 3_600_000 + 59_999);
    assert.ok(await validateServiceAccountToken(token, options));
    await refusal('token_expired', () => validateServiceAccountToken(token, { ...options, leeway: 0 }));
    clock.advance(1);
    await refusal('token_expired', () => validateServiceAccountToken(token, options));
  });

  it('asks for no key where it can never be accepted: other issuer, HMAC, none', async () => {
    const keys: KeySource = { name: 'untouched', find: () => assert.fail('a key was asked for') };
    await refusal('token_issuer', () => validate(signToken(key, { ...claims, iss: 'https://elsewhere' }), keys));
    await refusal('token_algorithm', () => validate(signWithPublicKeyAsSecret(key, claims), keys));
  });

  const flippable: [string, TestKey][] = [
    ['RS256', key],
    ['ES256', testKey('flip', 'ES256')],
    ['EdDSA', testKey('flip', 'EdDSA')],
  ];
  for (const [alg, signer] of flippable) {
    it(`is refused when any one bit of it is flipped (${alg})`, async () => {
      const keys = await keysOf(signer.jwk, { ...signer.jwk, kid: undefined });
      const token = signToken(signer, claims);
      assert.ok(await validate(token, keys));
      const bit = fc.tuple(fc.nat(token.length - 1), fc.nat(7));
      await fc.assert(
        fc.asyncProperty(bit, async ([index, shift]) => {
          const flipped = String.fromCharCode(token.charCodeAt(index) ^ (1 << shift));
          const other = `${token.slice(0, index)}${flipped}${token.slice(index + 1)}`;
          await assert.rejects(validate(other, keys), SealwrightError, `bit ${shift} of character ${index}`);
        }),
        { numRuns: 400 },
      );
    });
  }
});
