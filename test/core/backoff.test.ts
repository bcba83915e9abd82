import { strict as assert } from 'node:assert';
import { Backoff } from '../../src/core/backoff.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import { FakeClock } from '../fakes/clock.ts';

describe('backoff', () => {
  it('doubles its bound up to the maximum and begins again after a success', () => {
    const backoff = new Backoff({ initial: 100, max: 1_000, random: () => 1 });
    assert.deepEqual(
      Array.from({ length: 6 }, () => backoff.next()),
      [100, 200, 400, 800, 1_000, 1_000],
    );
    backoff.reset();
    assert.equal(backoff.next(), 100);
  });

  it('spreads its delays over the whole bound, and never waits nothing at all', () => {
    const low = new Backoff({ initial: 100, max: 1_000, random: () => 0 });
    const middle = new Backoff({ initial: 100, max: 1_000, random: () => 0.5 });
    assert.equal(low.next(), 1);
    assert.equal(middle.next(), 50);
  });

  it('stays finite after thousands of failures', () => {
    const backoff = new Backoff({ initial: 100, max: 60_000, random: () => 1 });
    for (let i = 0; i < 5_000; i += 1) assert.ok(backoff.next() <= 60_000);
  });
});

describe('the token bucket', () => {
  it('allows a burst, then the steady rate', () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ burst: 3, perSecond: 1, clock });
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take(), bucket.take()], [true, true, true, false]);
    clock.advance(1_000);
    assert.deepEqual([bucket.take(), bucket.take()], [true, false]);
    clock.advance(3_600_000);
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take(), bucket.take()], [true, true, true, false]);
  });
});
