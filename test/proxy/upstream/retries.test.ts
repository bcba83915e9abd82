import { strict as assert } from 'node:assert';
import { Circuit } from '../../../proxy/upstream/circuit.ts';
import { ClusterRetries } from '../../../proxy/upstream/retries.ts';
import { destinationPolicyOf } from '../../../src/resources/destination-policy.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the budget of second tries', () => {
  const retries = (trafficPolicy: object = {}, active = 0): { begun: (sent: boolean) => number; circuit: Circuit } => {
    const circuit = new Circuit();
    circuit.pools.add({ load: active });
    const made = new ClusterRetries({ circuit, clock: new FakeClock(), random: () => 0.5, next: () => undefined });
    made.policy = destinationPolicyOf(trafficPolicy, 80);
    const begun = (sent: boolean): number => {
      let count = 0;
      while (count < 1_000 && made.begin(sent)) count += 1;
      for (let ended = 0; ended < count; ended += 1) made.end(false);
      return count;
    };
    return { begun, circuit };
  };

  it('is 20 % of what is under way, or three, for what was sent, and has no end for what was not', () => {
    for (const [active, most] of [
      [0, 3],
      [10, 3],
      [100, 20],
    ] as const) {
      const { begun, circuit } = retries({}, active);
      assert.equal(begun(true), most);
      assert.equal(circuit.counts.upstream_rq_retry_overflow, 1);
      assert.equal(begun(false), 1_000);
      assert.equal(circuit.retrying, 0);
    }
  });

  it('is what a rule says for either', () => {
    for (const sent of [true, false]) {
      assert.equal(retries({ connectionPool: { http: { maxRetries: 5 } } }, 100).begun(sent), 5);
      assert.equal(retries({ retryBudget: { percent: 50, minRetryConcurrency: 1 } }, 100).begun(sent), 50);
      assert.equal(retries({ retryBudget: { percent: 50, minRetryConcurrency: 1 } }, 0).begun(sent), 1);
      const both = { retryBudget: { percent: 10 }, connectionPool: { http: { maxRetries: 50 } } };
      assert.equal(retries(both, 100).begun(sent), 10, 'the budget counts where there are both');
    }
  });

  it('counts what was answered', () => {
    const circuit = new Circuit();
    const made = new ClusterRetries({ circuit, clock: new FakeClock(), random: () => 0.5, next: () => undefined });
    for (const succeeded of [true, false, true]) {
      made.begin(false);
      made.end(succeeded);
    }
    made.exhausted();
    assert.equal(circuit.counts.upstream_rq_retry, 3);
    assert.equal(circuit.counts.upstream_rq_retry_success, 2);
    assert.equal(circuit.counts.upstream_rq_retry_limit_exceeded, 1);
  });

  it('waits a little, and longer the next time, before the same place is tried again', () => {
    const waits = [0, 1].map((attempt) => {
      const clock = new FakeClock();
      const made = new ClusterRetries({ circuit: new Circuit(), clock, random: () => 1, next: () => undefined });
      made.wait(attempt, () => {});
      return (clock.nextDue ?? 0) - clock.now();
    });
    assert.deepEqual(waits, [25, 50]);
  });
});
