import { strict as assert } from 'node:assert';
import { authenticateInOrder } from '../../../ca/authenticators/authenticate-in-order.ts';
import type {
  AuthenticationOutcome,
  NotGranted,
  TokenAuthenticator,
} from '../../../ca/authenticators/authenticator.ts';
import { Credentials } from '../../../ca/authenticators/credentials.ts';
import { createJwksAuthenticator } from '../../../ca/authenticators/jwks-authenticator.ts';
import { createSvidAuthenticator } from '../../../ca/authenticators/svid-authenticator.ts';
import { createTokenReviewAuthenticator } from '../../../ca/authenticators/token-review-authenticator.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import type { TokenReviewAnswer } from '../../../src/kubernetes/token-review-status.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { encodePart, serviceAccountClaims, signToken, signWithPublicKeyAsSecret, testKey } from '../../fakes/tokens.ts';
import { assertHoldsNoToken } from '../../token/refusals.ts';
import { CATALOG, clusterKey, clusterKeys, DAY, FakeVerifier, ISSUER, NOW, TRUST_DOMAIN } from './fixture.ts';

const claims = serviceAccountClaims(NOW);
const good = signToken(clusterKey, claims);
const expired = signToken(clusterKey, { ...claims, exp: NOW / 1_000 - 3_600 });
const PAYMENT = 'spiffe://cluster.local/ns/shop/sa/payment';

const authenticated: TokenReviewAnswer = {
  authenticated: true,
  username: 'system:serviceaccount:shop:catalog',
  uid: 'uid-1',
  groups: ['system:serviceaccounts'],
  extra: new Map(),
  audiences: ['istio-ca'],
};

/** Everything that judges, with an API server whose answer the test chooses. */
async function setUp() {
  const clock = new FakeClock(NOW);
  const logger = new RecordingLogger();
  const verifier = new FakeVerifier();
  const revoked = new Set<string>();
  const server = { asked: 0, answer: (): Promise<TokenReviewAnswer> => Promise.resolve(authenticated) };
  const about = { trustDomain: TRUST_DOMAIN, audiences: ['istio-ca'], clock };
  const review = createTokenReviewAuthenticator({
    ...about,
    reviewer: {
      review: () => {
        server.asked += 1;
        return server.answer();
      },
    },
  });
  const keys = await clusterKeys();
  const jwks = createJwksAuthenticator({ ...about, issuer: ISSUER, keys });
  const standIn = createJwksAuthenticator({ ...about, issuer: ISSUER, keys, standsIn: true });
  const certificate = createSvidAuthenticator({
    ...about,
    verifySvid: verifier.verifySvid,
    history: {
      askerOf: async (serial) => ({
        identity: SpiffeId.parse(CATALOG),
        tokenAuthenticatedAt: serial === 'old' ? NOW - 8 * DAY : NOW - DAY,
      }),
    },
    isRevoked: (serial) => revoked.has(serial),
  });
  const ask = (tokens: TokenAuthenticator[], bearer?: string, peerChain?: Buffer[]) =>
    authenticateInOrder({ tokens, certificate, logger })(
      new Credentials({ bearer, peerChain, remoteAddress: '127.0.0.1' }),
    );
  return { clock, logger, verifier, revoked, server, review, jwks, standIn, ask };
}

const down = () => Promise.reject(new SealwrightError('kubernetes_unreachable', { reason: 'down' }));
const denied = () => Promise.resolve({ authenticated: false, error: 'the pod is gone' } as const);

function assertGranted(outcome: AuthenticationOutcome, method: string, identity = CATALOG): number {
  assert.ok(outcome.kind === 'granted', JSON.stringify(outcome));
  assert.deepEqual([outcome.caller.method, outcome.caller.identity.toString()], [method, identity]);
  return outcome.caller.tokenAuthenticatedAt;
}

function assertNot(kind: NotGranted['kind'], code: ErrorCode, outcome: AuthenticationOutcome): NotGranted {
  assert.ok(outcome.kind !== 'granted', 'was granted');
  assert.deepEqual([outcome.kind, outcome.code], [kind, code], outcome.reason);
  return outcome;
}

describe('a call to the CA', () => {
  it('is refused when it comes with nothing', async () => {
    const { ask, jwks } = await setUp();
    assertNot('refused', 'credentials_missing', await ask([jwks]));
  });

  it('is refused when it comes with a token and no tokens are accepted', async () => {
    const { ask } = await setUp();
    assert.match(assertNot('refused', 'token_issuer', await ask([], good)).reason, /none: no token is accepted/);
  });

  it('is granted by a token alone, proven now', async () => {
    const { ask, jwks, review } = await setUp();
    assert.equal(assertGranted(await ask([jwks], good), 'jwks'), NOW);
    assert.equal(assertGranted(await ask([review], good), 'token-review'), NOW);
  });

  it('is granted by a certificate alone, proven when its last token was', async () => {
    const { ask, jwks, verifier } = await setUp();
    assert.equal(assertGranted(await ask([jwks], undefined, verifier.add('0a')), 'svid'), NOW - DAY);
  });

  it('is refused by a certificate alone that is too old, revoked or forged', async () => {
    const { ask, jwks, verifier, revoked } = await setUp();
    revoked.add('0b');
    assertNot('refused', 'renewal_too_old', await ask([jwks], undefined, verifier.add('old')));
    assertNot('refused', 'renewal_revoked', await ask([jwks], undefined, verifier.add('0b')));
    assertNot('refused', 'spiffe_id_invalid', await ask([jwks], undefined, [Buffer.from('forged')]));
  });

  const untrue: [string, string, ErrorCode][] = [
    ['malformed', 'x.y.z', 'token_malformed'],
    ['unsigned', `${encodePart({ alg: 'none' })}.${encodePart(claims)}.AA`, 'token_algorithm'],
    ['signed by HMAC with the public key', signWithPublicKeyAsSecret(clusterKey, claims), 'token_algorithm'],
    ['by another key', signToken({ ...testKey('other'), kid: clusterKey.kid }, claims), 'token_signature'],
    ['by an unknown key', signToken(testKey('other'), claims), 'token_key_unknown'],
    ['by another issuer', signToken(clusterKey, { ...claims, iss: 'https://elsewhere' }), 'token_issuer'],
    ['for another audience', signToken(clusterKey, { ...claims, aud: 'vault' }), 'token_audience'],
    ['not valid yet', signToken(clusterKey, { ...claims, nbf: NOW / 1_000 + 3_600 }), 'token_not_yet_valid'],
    ['of a person', signToken(clusterKey, { ...claims, sub: 'alice' }), 'token_claims'],
    ['expired and for another audience', signToken(clusterKey, { ...claims, exp: 1, aud: 'vault' }), 'token_audience'],
  ];
  for (const [what, token, code] of untrue) {
    it(`is refused by a token that is ${what}, and a good certificate does not make up for it (invariant 2)`, async () => {
      const { ask, jwks, verifier, logger } = await setUp();
      for (const chain of [undefined, verifier.add('0a')]) {
        const outcome = assertNot('refused', code, await ask([jwks], token, chain));
        assertHoldsNoToken(outcome, token);
        assertHoldsNoToken(logger.text, token);
      }
    });
  }

  describe('with a token and a certificate', () => {
    it('is granted by the token, which is the fresher proof', async () => {
      const { ask, jwks, verifier } = await setUp();
      assert.equal(assertGranted(await ask([jwks], good, verifier.add('0a')), 'jwks'), NOW);
    });

    it('is refused when they name different identities, even where the certificate could not be renewed', async () => {
      const { ask, jwks, verifier, revoked } = await setUp();
      revoked.add('0c');
      for (const serial of ['0a', '0c', 'old']) {
        const outcome = assertNot(
          'refused',
          'credentials_disagree',
          await ask([jwks], good, verifier.add(serial, PAYMENT)),
        );
        assert.match(outcome.reason, /sa\/catalog.*sa\/payment/);
      }
    });

    it('is granted by the token where the certificate is revoked, too old, expired or proves nothing', async () => {
      const { ask, jwks, verifier, revoked } = await setUp();
      revoked.add('0b');
      const chains = [
        verifier.add('0b'),
        verifier.add('old'),
        verifier.add('0d', PAYMENT, NOW - 1),
        verifier.add('0e', 'spiffe://elsewhere/ns/shop/sa/payment'),
        [Buffer.from('forged')],
      ];
      for (const chain of chains) assertGranted(await ask([jwks], good, chain), 'jwks');
    });

    it('is granted by the certificate where the token has merely expired', async () => {
      const { ask, jwks, review, server, verifier } = await setUp();
      assert.equal(assertGranted(await ask([jwks], expired, verifier.add('0a')), 'svid'), NOW - DAY);
      assertGranted(await ask([review], expired, verifier.add('0a')), 'svid');
      assert.equal(server.asked, 0);
    });

    it('is refused for the certificate where the token has expired and the certificate is no good either', async () => {
      const { ask, jwks, verifier } = await setUp();
      assertNot('refused', 'renewal_too_old', await ask([jwks], expired, verifier.add('old')));
      assertNot('refused', 'token_expired', await ask([jwks], expired));
    });

    it('is granted by the certificate while nobody can judge the token (invariant 9)', async () => {
      const { ask, review, server, verifier } = await setUp();
      server.answer = down;
      assert.equal(assertGranted(await ask([review], good, verifier.add('0a')), 'svid'), NOW - DAY);
    });

    it('is told to come again where nobody can judge the token and the certificate is no good', async () => {
      const { ask, review, server, verifier } = await setUp();
      server.answer = down;
      assertNot('unavailable', 'kubernetes_unreachable', await ask([review], good, verifier.add('old')));
      assertNot('unavailable', 'kubernetes_unreachable', await ask([review], good));
    });

    it('is refused where the TokenReview refuses, however good the certificate: the pod may be gone', async () => {
      const { ask, review, server, verifier } = await setUp();
      server.answer = denied;
      assertNot('refused', 'token_refused', await ask([review], good, verifier.add('0a')));
    });
  });

  describe('with several authenticators of tokens', () => {
    it('is not granted by a key set that stands in where the TokenReview has refused', async () => {
      const { ask, review, standIn, server } = await setUp();
      server.answer = denied;
      for (const order of [
        [review, standIn],
        [standIn, review],
      ]) {
        assertNot('refused', 'token_refused', await ask(order, good));
      }
    });

    it('is granted by a stand-in only while the TokenReview cannot be made, and only if one is configured', async () => {
      const { clock, ask, review, standIn, jwks, server, logger } = await setUp();
      const together = authenticateInOrder({ tokens: [standIn, review], logger });
      const call = () => together(new Credentials({ bearer: good, peerChain: undefined, remoteAddress: '' }));
      assertGranted(await call(), 'token-review');
      server.answer = down;
      for (let i = 0; i < 3; i += 1) assertGranted(await call(), 'jwks');
      assertNot('unavailable', 'kubernetes_unreachable', await ask([review], good));
      assertNot(
        'unavailable',
        'kubernetes_unreachable',
        await ask([review, { ...standIn, issuer: 'https://other' }], good),
      );
      server.answer = () => Promise.resolve(authenticated);
      clock.advance(1_000);
      assertGranted(await call(), 'token-review');
      assert.deepEqual(
        logger.lines.map((line) => [line.level, line.message]),
        [
          ['warn', 'tokens are judged by a stand-in'],
          ['info', 'tokens are judged by their authority again'],
        ],
        'once when it begins, once when it ends',
      );
      assert.equal(jwks.standsIn, false);
    });

    it('is not handed to a stand-in because strangers keep the API server busy', async () => {
      const { ask, review, standIn, server } = await setUp();
      server.answer = () => Promise.reject(new SealwrightError('token_reviews_busy', {}));
      assertNot('unavailable', 'token_reviews_busy', await ask([review, standIn], good));
    });

    it('is refused by a stand-in for what the key can tell, and told to come again for a key it has not heard of', async () => {
      const { ask, review, standIn, server } = await setUp();
      server.answer = down;
      const forged = signToken({ ...testKey('other'), kid: clusterKey.kid }, claims);
      assertNot('refused', 'token_signature', await ask([review, standIn], forged));
      assertNot(
        'unavailable',
        'kubernetes_unreachable',
        await ask([review, standIn], signToken(testKey('new'), claims)),
      );
    });

    it('is judged by the authority of its issuer, and not by the API server of another', async () => {
      const { ask, review, jwks, server } = await setUp();
      server.answer = denied;
      assertGranted(await ask([review, jwks], good), 'jwks');
      assert.equal(server.asked, 0);
      const other = signToken(clusterKey, { ...claims, iss: 'https://other' });
      assertNot('refused', 'token_refused', await ask([review, jwks], other));
      assert.equal(server.asked, 1);
    });

    it('is refused, with all issuers that are wanted, where none is for the token', async () => {
      const { ask, jwks } = await setUp();
      for (const iss of ['https://other', undefined, 7]) {
        const outcome = await ask(
          [jwks, { ...jwks, issuer: 'https://second' }],
          signToken(clusterKey, { ...claims, iss }),
        );
        assert.match(
          assertNot('refused', 'token_issuer', outcome).reason,
          /wanted: "https:\/\/kubernetes.* https:\/\/second"/,
        );
      }
    });

    it('ends with the bug where an authenticator has one', async () => {
      const { ask, review, server } = await setUp();
      server.answer = () => Promise.reject(new TypeError('a bug'));
      await assert.rejects(ask([review], good), /a bug/);
    });
  });
});
