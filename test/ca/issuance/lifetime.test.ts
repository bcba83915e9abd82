import { strict as assert } from 'node:assert';
import { goDuration, lifetimeOf, SHORTEST_LIFETIME } from '../../../ca/issuance/lifetime.ts';
import { SealwrightError } from '../../../src/core/errors.ts';

const HOUR = 3_600_000;
const policy = { default: 24 * HOUR, max: 2160 * HOUR };

describe('the lifetime of a certificate', () => {
  it('is the default where none, zero or less is asked for', () => {
    for (const requested of [0, -1, -9e15]) assert.equal(lifetimeOf(requested, policy), 24 * HOUR);
  });

  it('is refused above the maximum, in the words of Istio', () => {
    assert.throws(
      () => lifetimeOf(2161 * HOUR, policy),
      /requested TTL 2161h0m0s is greater than the max allowed TTL 2160h0m0s/,
    );
    assert.equal(lifetimeOf(2160 * HOUR, policy), 2160 * HOUR);
  });

  it('is not held to the maximum where the default is meant', () => {
    assert.equal(lifetimeOf(0, { default: 10 * HOUR, max: HOUR }), 10 * HOUR);
  });

  it('is refused below ten seconds', () => {
    assert.throws(
      () => lifetimeOf(SHORTEST_LIFETIME - 1, policy),
      (error) => error instanceof SealwrightError && error.code === 'ttl_too_short',
    );
    assert.equal(lifetimeOf(SHORTEST_LIFETIME, policy), SHORTEST_LIFETIME);
  });

  it('is printed as Go prints it', () => {
    assert.deepEqual([86_400_000, 90_000, 5_000, 0].map(goDuration), ['24h0m0s', '1m30s', '5s', '0s']);
  });
});
