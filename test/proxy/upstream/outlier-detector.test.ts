import { strict as assert } from 'node:assert';
import { createCounts } from '../../../proxy/upstream/cluster-counts.ts';
import { OutlierDetector } from '../../../proxy/upstream/outlier-detector.ts';
import type { UpstreamPool } from '../../../proxy/upstream/pool.ts';
import { UpstreamHost } from '../../../proxy/upstream/upstream-host.ts';
import { destinationPolicyOf, type OutlierPolicy } from '../../../src/resources/destination-policy.ts';
import { FakeClock } from '../../fakes/clock.ts';

const policyOf = (written: object = {}): OutlierPolicy => {
  const { outliers } = destinationPolicyOf({ outlierDetection: { maxEjectionPercent: 100, ...written } }, 80);
  return outliers ?? assert.fail();
};

const watched = (count: number, written: object = {}) => {
  const clock = new FakeClock();
  const counts = createCounts();
  const hosts = Array.from({ length: count }, () => new UpstreamHost({ health: undefined } as UpstreamPool));
  let changes = 0;
  const detector = new OutlierDetector({ clock, counts, onChange: () => (changes += 1) });
  detector.watch(hosts, policyOf(written));
  const fail = (index: number, times = 5, status = 500): void => {
    for (let time = 0; time < times; time += 1) hosts[index]?.pool.health?.onStatus(status);
  };
  const ejected = (): number[] => hosts.flatMap((host, index) => (host.ejected ? [index] : []));
  return { clock, counts, hosts, detector, fail, ejected, changes: () => changes };
};

describe('an endpoint that fails', () => {
  it('is left out after five server errors in a row, and not after four', () => {
    const { counts, fail, ejected, changes } = watched(2);
    fail(0, 4);
    fail(0, 1, 200);
    fail(0, 4);
    assert.deepEqual(ejected(), []);
    fail(0, 1);
    assert.deepEqual(ejected(), [0]);
    assert.equal(changes(), 1);
    assert.equal(counts.outlier_detection_ejections_enforced_total, 1);
    assert.equal(counts.outlier_detection_ejections_enforced_consecutive_5xx, 1);
  });

  it('is left out after gateway errors where they are counted, which another server error interrupts', () => {
    const { counts, fail, ejected } = watched(2, { consecutiveGatewayErrors: 3, consecutive5xxErrors: 0 });
    fail(0, 2, 503);
    fail(0, 1, 500);
    fail(0, 2, 502);
    assert.deepEqual(ejected(), []);
    fail(0, 1, 504);
    assert.deepEqual(ejected(), [0]);
    assert.equal(counts.outlier_detection_ejections_enforced_consecutive_gateway_failure, 1);
  });

  it('is left out where it is not reached, breaks off or is late, which count as 503 and 504', () => {
    const { hosts, ejected } = watched(2, { consecutiveGatewayErrors: 3 });
    const health = hosts[1]?.pool.health;
    health?.onConnectFailure();
    health?.onReset();
    assert.deepEqual(ejected(), []);
    health?.onTimeout();
    assert.deepEqual(ejected(), [1]);
  });

  it('is judged apart by what it says and by whether it is reached, where that is asked for', () => {
    const apart = { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, consecutive5xxErrors: 3 };
    const { counts, hosts, fail, ejected } = watched(3, apart);
    hosts[0]?.pool.health?.onConnectFailure();
    fail(0, 2);
    hosts[0]?.pool.health?.onConnectFailure();
    assert.deepEqual(ejected(), [], 'an answer, even a bad one, says that it is reached');
    hosts[0]?.pool.health?.onConnectFailure();
    assert.deepEqual(ejected(), [0]);
    assert.equal(counts.outlier_detection_ejections_enforced_consecutive_local_origin_failure, 1);
    fail(1, 3);
    assert.deepEqual(ejected(), [0, 1]);
  });

  it('is called again at the interval after its time, which is longer each time it fails again', () => {
    const { clock, fail, ejected, changes } = watched(2, { interval: '10s', baseEjectionTime: '15s' });
    fail(0);
    clock.advance(19_999);
    assert.deepEqual(ejected(), [0], 'its time is over, and the interval not');
    clock.advance(1);
    assert.deepEqual(ejected(), []);
    fail(0);
    clock.advance(30_000 - 1);
    assert.deepEqual(ejected(), [0], 'twice the time');
    clock.advance(1);
    assert.deepEqual(ejected(), []);
    assert.equal(changes(), 4);
  });

  it('is left out no longer than five minutes, or the base time where that is longer', () => {
    for (const [base, longest] of [
      [200, 300_000],
      [400, 400_000],
    ] as const) {
      const { clock, fail, ejected } = watched(2, { interval: '1s', baseEjectionTime: `${base}s` });
      fail(0);
      clock.advance(base * 1_000);
      fail(0);
      clock.advance(longest - 1_000);
      assert.deepEqual(ejected(), [0], `${base}`);
      clock.advance(1_000);
      assert.deepEqual(ejected(), [], `${base}`);
    }
  });

  it('is forgiven one time for each interval in which it serves, and then nothing is looked at any more', () => {
    const { clock, fail, ejected } = watched(2, { interval: '10s', baseEjectionTime: '10s' });
    fail(0);
    clock.advance(10_000);
    assert.deepEqual(ejected(), []);
    clock.advance(10_000);
    assert.equal(clock.nextDue, undefined);
    fail(0);
    clock.advance(10_000);
    assert.deepEqual(ejected(), [], 'it is left out as for the first time');
  });

  it('is kept where too many are left out already, but the first of several is not', () => {
    const { counts, fail, ejected } = watched(4, { maxEjectionPercent: 50 });
    for (const index of [0, 1, 2]) fail(index);
    assert.deepEqual(ejected(), [0, 1]);
    assert.equal(counts.outlier_detection_ejections_overflow, 1);
    const few = watched(3, { maxEjectionPercent: 10 });
    for (const index of [0, 1]) few.fail(index);
    assert.deepEqual(few.ejected(), [0]);
    const alone = watched(1, { maxEjectionPercent: 99 });
    alone.fail(0);
    assert.deepEqual(alone.ejected(), []);
    assert.equal(watched(1).detector.ejected, 0);
  });

  it('may be the last one, where the rule allows all', () => {
    const { fail, ejected } = watched(2);
    fail(0);
    fail(1);
    assert.deepEqual(ejected(), [0, 1]);
  });

  it('keeps its count over other endpoints and another policy, and is forgotten with the policy', () => {
    const { hosts, detector, fail, ejected } = watched(2);
    fail(0, 4);
    const [first] = hosts;
    assert.ok(first);
    detector.watch([first, new UpstreamHost({ health: undefined } as UpstreamPool)], policyOf());
    assert.equal(hosts[1]?.pool.health, undefined);
    fail(0, 1);
    assert.deepEqual(ejected(), [0]);
    detector.watch([first], undefined);
    assert.deepEqual(ejected(), []);
    assert.equal(first.pool.health, undefined);
  });
});
