import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { renewalTime, retryDelay } from '../../src/workload/renewal-time.ts';

const HOUR = 3_600_000;

describe('the time of a renewal', () => {
  it('is half of the way from the receipt to the end, whatever the certificate says of its beginning', () => {
    const receivedAt = Date.parse('2026-01-01T00:00:00Z');
    assert.equal(
      renewalTime({ receivedAt, notAfter: receivedAt + 24 * HOUR }, () => 0.5),
      receivedAt + 12 * HOUR,
    );
    assert.equal(
      renewalTime({ receivedAt, notAfter: receivedAt + 10_000 }, () => 0.5),
      receivedAt + 5_000,
    );
  });

  it('spreads by a tenth to both sides, so that workloads of one age do not renew together', () => {
    const at = (random: number): number => renewalTime({ receivedAt: 0, notAfter: 20 * HOUR }, () => random);
    assert.equal(at(0), 9 * HOUR);
    assert.ok(Math.abs(at(0.999_999) - 11 * HOUR) < HOUR / 1_000);
  });

  it('always lies between receipt and end', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat(),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (start, life, r) => {
          const time = renewalTime({ receivedAt: start, notAfter: start + life }, () => r);
          assert.ok(time >= start && time <= start + life);
        },
      ),
    );
  });

  it('is at once for what was over before it came', () => {
    assert.equal(
      renewalTime({ receivedAt: 5_000, notAfter: 1_000 }, () => 0.9),
      5_000,
    );
  });
});

describe('the delay after a failed renewal', () => {
  it('grows with the failures, and shrinks where little time is left', () => {
    assert.equal(retryDelay(60_000, 12 * HOUR, 500), 60_000);
    assert.equal(retryDelay(60_000, 5_000, 500), 500);
    assert.equal(retryDelay(60_000, 60_000, 500), 6_000);
  });

  it('is that of the backoff alone once nothing is left to lose', () => {
    assert.equal(retryDelay(60_000, 0, 500), 60_000);
    assert.equal(retryDelay(60_000, -HOUR, 500), 60_000);
  });
});
