import { strict as assert } from 'node:assert';
import {
  createSvidAuthenticator,
  type SvidAuthenticatorOptions,
} from '../../../ca/authenticators/svid-authenticator.ts';
import type { Holder } from '../../../ca/authenticators/workload-presence.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { CATALOG, DAY, FakeVerifier, NOW, TRUST_DOMAIN } from './fixture.ts';

describe('renewal by an own certificate', () => {
  const verifier = new FakeVerifier();
  const proven = new Map<string, number>();
  /** Certificates that somebody else than their subject asked for. */
  const agents = new Map<string, string>();
  const AGENT = 'spiffe://cluster.local/ns/istio-system/sa/ztunnel';
  const revoked = new Set<string>();
  const create = (more: Partial<SvidAuthenticatorOptions> = {}) =>
    createSvidAuthenticator({
      trustDomain: TRUST_DOMAIN,
      verifySvid: verifier.verifySvid,
      history: {
        askerOf: async (serial) => {
          const tokenAuthenticatedAt = proven.get(serial);
          if (tokenAuthenticatedAt === undefined) return undefined;
          const holder = verifier.chains.get(serial)?.identity ?? SpiffeId.parse(CATALOG);
          const identity = agents.has(serial) ? SpiffeId.parse(AGENT) : holder;
          const pod = { name: 'catalog-1', uid: 'pod-1' };
          return { identity, tokenAuthenticatedAt, pod, serviceAccountUid: 'account-1', node: 'node-1' };
        },
      },
      isRevoked: (serial, identity) => revoked.has(serial) || revoked.has(identity.toString()),
      clock: new FakeClock(NOW),
      ...more,
    });

  it('is granted with the time at which a token last proved the identity, which it does not refresh', async () => {
    const chain = verifier.add('0a', CATALOG);
    proven.set('0a', NOW - 7 * DAY);
    const outcome = await create().authenticate(chain);
    assert.ok(outcome.kind === 'granted');
    assert.deepEqual(
      { ...outcome.caller, identity: String(outcome.caller.identity) },
      {
        identity: CATALOG,
        method: 'svid',
        tokenAuthenticatedAt: NOW - 7 * DAY,
        // Inherited, so that they can be asked about again at the next renewal.
        pod: { name: 'catalog-1', uid: 'pod-1' },
        serviceAccountUid: 'account-1',
        node: { name: 'node-1', uid: undefined },
        credential: 'serial:0a',
      },
    );
  });

  const known = (serial: string, age = DAY): string => {
    proven.set(serial, NOW - age);
    return serial;
  };
  const refused: [string, () => Buffer[], ErrorCode, RegExp, string?][] = [
    ['that does not verify', () => [Buffer.from('forged')], 'spiffe_id_invalid', /XL-1/],
    [
      'of another trust domain',
      () => verifier.add(known('10'), 'spiffe://elsewhere/ns/shop/sa/catalog'),
      'identity_not_a_workload',
      /elsewhere/,
    ],
    [
      'of no workload',
      () => verifier.add(known('11'), 'spiffe://cluster.local/ca'),
      'identity_not_a_workload',
      /cluster.local\/ca/,
    ],
    [
      'of the trust domain itself',
      () => verifier.add(known('12'), 'spiffe://cluster.local'),
      'identity_not_a_workload',
      /wanted/,
    ],
    [
      'that has expired',
      () => verifier.add(known('13'), CATALOG, NOW - 1_000),
      'renewal_expired',
      /expired: "2025-12-31T23:59:59.000Z", now: "2026-01-01T00:00:00.000Z"/,
    ],
    ['whose end is no time', () => verifier.add(known('14'), CATALOG, Number.NaN), 'renewal_expired', /unreadable/],
    [
      'that is revoked',
      () => {
        revoked.add('15');
        return verifier.add(known('15'));
      },
      'renewal_revoked',
      /serial: "15"/,
      CATALOG,
    ],
    [
      'whose identity is revoked',
      () => {
        revoked.add('spiffe://cluster.local/ns/shop/sa/thief');
        return verifier.add(known('16'), 'spiffe://cluster.local/ns/shop/sa/thief');
      },
      'renewal_revoked',
      /thief/,
      'spiffe://cluster.local/ns/shop/sa/thief',
    ],
    ['that the ledger does not hold', () => verifier.add('17'), 'renewal_unknown', /serial: "17"/, CATALOG],
    [
      'that a node agent was given for the workload (invariant 1)',
      () => {
        agents.set('22', AGENT);
        return verifier.add(known('22'));
      },
      'renewal_impersonated',
      /agent: "spiffe:\/\/cluster.local\/ns\/istio-system\/sa\/ztunnel"/,
      CATALOG,
    ],
    [
      'for which no token was seen for more than seven days',
      () => verifier.add(known('18', 7 * DAY + 1)),
      'renewal_too_old',
      /lastToken: "2025-12-24T23:59:59.999Z", allowed: "168h"/,
      CATALOG,
    ],
    [
      'whose last token has no time',
      () => verifier.add(known('19', Number.NaN)),
      'renewal_too_old',
      /unreadable/,
      CATALOG,
    ],
  ];
  for (const [what, chain, code, reason, identity] of refused) {
    it(`is refused for a certificate ${what}`, async () => {
      const outcome = await create().authenticate(chain());
      assert.ok(outcome.kind === 'refused', outcome.kind);
      assert.deepEqual([outcome.code, outcome.by], [code, 'svid']);
      assert.match(outcome.reason, reason);
      assert.equal(outcome.identity?.toString(), identity, 'only a proven identity is named');
    });
  }

  it('is unavailable, not refused and not granted, while the history cannot be asked', async () => {
    const askerOf = () => Promise.reject(new SealwrightError('kubernetes_unreachable'));
    const outcome = await create({ history: { askerOf } }).authenticate(verifier.add('20'));
    assert.equal(outcome.kind, 'unavailable');
    const isRevoked = () => Promise.reject(new SealwrightError('jwks_invalid'));
    assert.equal((await create({ isRevoked }).authenticate(verifier.add('20'))).kind, 'unavailable');
  });

  it('asks whether pod and account are still there, and is refused where they are gone', async () => {
    const asked: Holder[] = [];
    const check = async (holder: Holder): Promise<void> => {
      asked.push(holder);
      throw new SealwrightError('renewal_gone', { reason: 'the pod does not exist' });
    };
    const outcome = await create({ presence: { check } }).authenticate(verifier.add(known('23')));
    assert.ok(outcome.kind === 'refused');
    assert.deepEqual([outcome.code, outcome.identity?.toString()], ['renewal_gone', CATALOG]);
    assert.deepEqual([asked[0]?.pod?.uid, asked[0]?.serviceAccountUid], ['pod-1', 'account-1']);
  });

  it('ends with the bug where there is one: a bug decides nothing', async () => {
    const isRevoked = () => Promise.reject(new TypeError('a bug'));
    await assert.rejects(create({ isRevoked }).authenticate(verifier.add('21')), /a bug/);
    const verifySvid = () => {
      throw new TypeError('a bug');
    };
    await assert.rejects(create({ verifySvid }).authenticate([]), /a bug/);
    assert.throws(() => create({ verifySvid }).identify([]), /a bug/);
  });

  it('tells whose certificate it is even where it may not be renewed, but not where it proves nothing', () => {
    assert.equal(create().identify(verifier.add('17'))?.toString(), CATALOG);
    assert.equal(create().identify([Buffer.from('forged')]), undefined);
    assert.equal(create().identify(verifier.add('13', CATALOG, NOW - 1)), undefined);
  });
});
