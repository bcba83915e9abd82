import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/core/duration.ts';
import { SealwrightError } from '../../src/core/errors.ts';

describe('durations', () => {
  it('reads what Go and Kubernetes write', () => {
    assert.equal(parseDuration('24h'), 86_400_000);
    assert.equal(parseDuration('1h30m'), 5_400_000);
    assert.equal(parseDuration('250ms'), 250);
    assert.equal(parseDuration('1.5s'), 1_500);
    assert.equal(parseDuration('0'), 0);
  });

  for (const text of ['', '24', 'h', '-1h', '1 h', '1h ', '1y', '999999999d', '1e3s']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseDuration(text),
        (error) => error instanceof SealwrightError && error.code === 'duration_invalid',
      );
    });
  }

  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), (seconds) => {
        assert.equal(parseDuration(formatDuration(seconds * 1_000)), seconds * 1_000);
      }),
    );
  });
});
