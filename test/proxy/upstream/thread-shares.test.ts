import { strict as assert } from 'node:assert';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { createCounts } from '../../../proxy/upstream/cluster-counts.ts';
import { UpstreamCluster } from '../../../proxy/upstream/upstream-cluster.ts';
import { DEFAULT_DESTINATION_POLICY } from '../../../src/resources/destination-policy.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the limits of a destination that several threads call', () => {
  interface Limits {
    readonly maxConnections?: number;
    readonly maxPendingRequests?: number;
    readonly maxRetries?: number;
    readonly retryBudget?: { readonly percent: number; readonly minConcurrency: number };
  }
  const clusterOf = (threads: number | undefined, { retryBudget, ...of }: Limits) => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const cluster = new UpstreamCluster('books', createCounts(), { clock, deadlines, random: () => 0, threads });
    const connections = { ...DEFAULT_DESTINATION_POLICY.connections, ...of };
    cluster.update({ policy: { ...DEFAULT_DESTINATION_POLICY, connections, retryBudget } }, () => []);
    return cluster;
  };
  const limitsOf = (threads: number | undefined, of: Limits) => clusterOf(threads, of).circuit.limits;

  /** How many second tries of what was sent, and of what was not, may go on at a time. */
  const triesOf = (threads: number | undefined, of: Limits): number => {
    const { retries } = clusterOf(threads, of);
    let tries = 0;
    while (tries < 100 && retries.begin(tries % 2 === 0)) tries += 1;
    return tries;
  };

  it('are each their share, rounded up', () => {
    const { maxConnections, maxPending, maxActive } = limitsOf(4, { maxConnections: 10, maxPendingRequests: 1 });
    assert.deepEqual([maxConnections, maxPending, maxActive], [3, 1, Infinity]);
  });

  it('are so for second tries at a time, too, and none stays none', () => {
    const begun = (threads: number | undefined, maxRetries: number): number => triesOf(threads, { maxRetries });
    assert.deepEqual([begun(4, 10), begun(undefined, 10), begun(4, 0)], [3, 10, 0]);
  });

  it('are so for what a budget allows while hardly anything is under way', () => {
    const begun = (threads: number | undefined, minConcurrency: number): number =>
      triesOf(threads, { retryBudget: { percent: 20, minConcurrency } });
    assert.deepEqual([begun(4, 10), begun(undefined, 10), begun(4, 1)], [3, 10, 1]);
  });

  it('are what was written where there is one', () => {
    assert.equal(limitsOf(undefined, { maxConnections: 10 }).maxConnections, 10);
  });
});
