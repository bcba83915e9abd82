import { strict as assert } from 'node:assert';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { createCounts } from '../../../proxy/upstream/cluster-counts.ts';
import { UpstreamCluster } from '../../../proxy/upstream/upstream-cluster.ts';
import { DEFAULT_DESTINATION_POLICY } from '../../../src/resources/destination-policy.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the limits of a destination that several threads call', () => {
  const limitsOf = (threads: number | undefined, of: { maxConnections?: number; maxPendingRequests?: number }) => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const cluster = new UpstreamCluster('books', createCounts(), { clock, deadlines, random: () => 0, threads });
    const connections = { ...DEFAULT_DESTINATION_POLICY.connections, ...of };
    cluster.update({ policy: { ...DEFAULT_DESTINATION_POLICY, connections } }, () => []);
    return cluster.circuit.limits;
  };

  it('are each their share, rounded up', () => {
    const { maxConnections, maxPending, maxActive } = limitsOf(4, { maxConnections: 10, maxPendingRequests: 1 });
    assert.deepEqual([maxConnections, maxPending, maxActive], [3, 1, Infinity]);
  });

  it('are what was written where there is one', () => {
    assert.equal(limitsOf(undefined, { maxConnections: 10 }).maxConnections, 10);
  });
});
