import { strict as assert } from 'node:assert';
import { createTokenReviewAuthenticator } from '../../../ca/authenticators/token-review-authenticator.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import { createTokenReviewer, type TokenReviewer } from '../../../src/kubernetes/token-review.ts';
import { parseJwt } from '../../../src/token/jwt.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { FakeKubernetesApi, type FakeTokenUser } from '../../fakes/kubernetes-api.ts';
import { encodePart, serviceAccountClaims, signToken, signWithPublicKeyAsSecret } from '../../fakes/tokens.ts';
import { assertHoldsNoToken } from '../../token/refusals.ts';
import { CATALOG, clusterKey, NOW, TRUST_DOMAIN } from './fixture.ts';

const claims = serviceAccountClaims(NOW);
const user = {
  username: 'system:serviceaccount:shop:catalog',
  uid: 'uid-1',
  groups: ['system:serviceaccounts', 'system:authenticated'],
  extra: {
    'authentication.kubernetes.io/pod-name': ['catalog-7d9f'],
    'authentication.kubernetes.io/pod-uid': ['pod-uid-1'],
    'authentication.kubernetes.io/node-name': ['node-1'],
    'authentication.kubernetes.io/node-uid': ['node-uid-1'],
  },
  audiences: ['istio-ca'],
} satisfies FakeTokenUser;

describe('authentication by TokenReview', () => {
  let api: FakeKubernetesApi;
  let reviewer: TokenReviewer;
  const clock = new FakeClock(NOW);

  beforeEach(async function () {
    api = await FakeKubernetesApi.start();
    reviewer = await createTokenReviewer({ config: api.writeAccess(temporaryFolder(this)), clock });
  });
  afterEach(async () => {
    reviewer.close();
    await api.close();
  });

  const judge = (token: string, audiences = ['istio-ca']) => {
    const authenticator = createTokenReviewAuthenticator({ trustDomain: TRUST_DOMAIN, reviewer, audiences, clock });
    return authenticator.authenticate(token, parseJwt(token));
  };

  it('grants the service account with its pod and node', async () => {
    const token = signToken(clusterKey, claims);
    api.tokens.set(token, user);
    const outcome = await judge(token);
    assert.ok(outcome.kind === 'granted');
    assert.deepEqual(
      { ...outcome.caller, identity: String(outcome.caller.identity) },
      {
        identity: CATALOG,
        method: 'token-review',
        tokenAuthenticatedAt: NOW,
        pod: { name: 'catalog-7d9f', uid: 'pod-uid-1' },
        node: { name: 'node-1', uid: 'node-uid-1' },
        serviceAccountUid: 'uid-1',
        credential: 'jti:4f3f1c1e-6d1e-4c55-9c1b-0d2b6f3a7e11',
      },
    );
    assertHoldsNoToken(outcome, token);
  });

  it('grants an account whose token is bound to no pod, by an old API server that tells of no node', async () => {
    const token = signToken(clusterKey, claims);
    api.tokens.set(token, { ...user, extra: {} });
    const outcome = await judge(token);
    assert.ok(outcome.kind === 'granted');
    assert.deepEqual([outcome.caller.pod, outcome.caller.node], [undefined, undefined]);
  });

  const refused: [string, Partial<FakeTokenUser>, ErrorCode, RegExp][] = [
    ['a person', { groups: ['system:authenticated'] }, 'token_claims', /system:serviceaccounts/],
    ['nobody of any group', { groups: [] }, 'token_claims', /groups/],
    ['a user name of three parts', { username: 'system:serviceaccount:shop' }, 'token_claims', /username/],
    ['a user name of five parts', { username: 'system:serviceaccount:shop:catalog:x' }, 'token_claims', /username/],
    ['a node', { username: 'system:node:node-1' }, 'token_claims', /username/],
    ['a namespace with a slash', { username: 'system:serviceaccount:a/b:catalog' }, 'token_claims', /username/],
    ['a namespace above', { username: 'system:serviceaccount:..:catalog' }, 'token_claims', /username/],
    ['another account than the token names', { username: 'system:serviceaccount:bank:catalog' }, 'token_claims', /sub/],
    ['a pod without uid', { extra: { 'authentication.kubernetes.io/pod-name': ['x'] } }, 'token_claims', /pod/],
    [
      'two pods',
      { extra: { ...user.extra, 'authentication.kubernetes.io/pod-name': ['x', 'y'] } },
      'token_claims',
      /pod-name/,
    ],
    [
      'a pod that is a path',
      { extra: { ...user.extra, 'authentication.kubernetes.io/pod-name': ['../x'] } },
      'token_claims',
      /pod-name/,
    ],
    ['other audiences', { audiences: ['vault'] }, 'token_refused', /\[\\"vault\\"\] is invalid for the target/],
  ];
  for (const [what, answered, code, reason] of refused) {
    it(`refuses where the API server answers ${what} (invariants 1 and 2)`, async () => {
      const token = signToken(clusterKey, claims);
      api.tokens.set(token, { ...user, ...answered });
      const outcome = await judge(token);
      assert.ok(outcome.kind === 'refused', outcome.kind);
      assert.equal(outcome.code, code);
      assert.match(outcome.reason, reason);
      assert.equal(outcome.identity, undefined);
      assertHoldsNoToken(outcome, token);
    });
  }

  it('refuses a token that the API server does not know', async () => {
    const outcome = await judge(signToken(clusterKey, claims));
    assert.ok(outcome.kind === 'refused' && outcome.code === 'token_refused');
    assert.match(outcome.reason, /invalid bearer token, unknown/);
  });

  it('refuses where the API server does not judge by audience, and asks no second time', async () => {
    api.knowsAudiences = false;
    const token = signToken(clusterKey, claims);
    api.tokens.set(token, user);
    const outcome = await judge(token);
    assert.ok(outcome.kind === 'refused' && outcome.code === 'token_audience');
    assert.match(outcome.reason, /got: "", wanted: "istio-ca", by: "the API server"/);
    assert.equal(api.requests.length, 1);
  });

  it('refuses where the API server echoes an audience that nobody wanted', async () => {
    const token = signToken(clusterKey, claims);
    const status = { authenticated: true, user, audiences: ['something-else'] };
    api.behaviour = { kind: 'body', body: JSON.stringify({ status }) };
    const outcome = await judge(token);
    assert.ok(outcome.kind === 'refused' && outcome.code === 'token_audience');
  });

  const hopeless: [string, Record<string, unknown>, ErrorCode, RegExp][] = [
    ['expired', { exp: NOW / 1_000 - 3_600 }, 'token_expired', /expired: "2025-12-31T23:00:00.000Z", now: "2026-01-01/],
    ['for another audience', { aud: ['vault'] }, 'token_audience', /got: "vault", wanted: "istio-ca"/],
    ['without audience', { aud: undefined }, 'token_audience', /got: "", wanted: "istio-ca"/],
    ['of a legacy secret', { 'kubernetes.io': undefined }, 'token_claims', /bound/],
  ];
  for (const [what, more, code, reason] of hopeless) {
    it(`tells by itself that a token is ${what}, and does not trouble the API server`, async () => {
      const token = signToken(clusterKey, { ...claims, ...more });
      api.tokens.set(token, user);
      const outcome = await judge(token);
      assert.ok(outcome.kind === 'refused');
      assert.equal(outcome.code, code);
      assert.match(outcome.reason, reason);
      assert.deepEqual(api.requests, []);
    });
  }

  const unsigned: [string, string][] = [
    ['unsigned', `${encodePart({ alg: 'none' })}.${encodePart(claims)}.AA`],
    ['signed by HMAC', signWithPublicKeyAsSecret(clusterKey, claims)],
    ['of an unknown algorithm', `${encodePart({ alg: 'XX999' })}.${encodePart(claims)}.AA`],
  ];
  for (const [what, token] of unsigned) {
    it(`tells by itself that a token is ${what}, and does not trouble the API server`, async () => {
      api.tokens.set(token, user);
      const outcome = await judge(token);
      assert.ok(outcome.kind === 'refused' && outcome.code === 'token_algorithm');
      assert.deepEqual(api.requests, []);
    });
  }

  it('lets a bounded number of reviews wait, and tells the others to come again', async () => {
    const answers: (() => void)[] = [];
    const slow = {
      review: () =>
        new Promise<{ authenticated: false; error: string }>((resolve) => {
          answers.push(() => resolve({ authenticated: false, error: 'no' }));
        }),
    };
    const authenticator = createTokenReviewAuthenticator({
      trustDomain: TRUST_DOMAIN,
      reviewer: slow,
      audiences: ['istio-ca'],
      clock,
      mostReviews: 2,
    });
    const token = signToken(clusterKey, claims);
    const call = () => authenticator.authenticate(token, parseJwt(token));
    const waiting = [call(), call()];
    const third = await call();
    assert.ok(third.kind === 'unavailable' && third.code === 'token_reviews_busy');
    for (const answer of answers) answer();
    for (const outcome of await Promise.all(waiting)) assert.equal(outcome.kind, 'refused');
    const later = call();
    answers.at(-1)?.();
    assert.equal((await later).kind, 'refused');
  });

  for (const status of [401, 403, 429, 500]) {
    it(`is unavailable when the API server answers ${status}`, async () => {
      api.behaviour = { kind: 'status', status };
      const outcome = await judge(signToken(clusterKey, claims));
      assert.ok(outcome.kind === 'unavailable' && outcome.code === 'kubernetes_unreachable');
    });
  }
});
