import { strict as assert } from 'node:assert';
import { plainTransport } from '../../../proxy/upstream/transports.ts';
import type { Member } from '../../../proxy/upstream/balancer.ts';
import { exposeClusters } from '../../../proxy/upstream/cluster-metrics.ts';
import type { UpstreamCluster } from '../../../proxy/upstream/upstream-cluster.ts';
import { UpstreamClusters } from '../../../proxy/upstream/upstream-clusters.ts';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { DEFAULT_DESTINATION_POLICY, destinationPolicyOf } from '../../../src/resources/destination-policy.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the destinations of a sidecar', () => {
  const clock = new FakeClock();
  const make = (): UpstreamClusters<Member> =>
    new UpstreamClusters({ clock, deadlines: new Deadlines(clock), random: Math.random });
  const place = (cluster: UpstreamCluster<Member>, ...ports: readonly number[]): void =>
    cluster.update({ policy: DEFAULT_DESTINATION_POLICY }, (hostOf) =>
      ports.map((port) => {
        const transport = plainTransport({ host: '127.0.0.1', port });
        return { host: hostOf(`${port}`, transport), weight: 1, destination: transport.destination };
      }),
    );
  const pools = (cluster: UpstreamCluster<Member>) => cluster.members.map(({ host }) => host.pool);

  it('keep their endpoints over changes, by what makes a connection fit for them', () => {
    const cluster = make().open('a', 'a');
    place(cluster, 1, 2);
    const [one, two] = pools(cluster);
    place(cluster, 2, 3);
    const [kept, fresh] = pools(cluster);
    assert.equal(kept, two);
    assert.notEqual(fresh, one);
    assert.equal(cluster.at('127.0.0.1:1'), undefined);
    assert.equal(cluster.at('127.0.0.1:2')?.host.pool, two);
  });

  it('take another policy over to the endpoints that they have', () => {
    const cluster = make().open('a', 'a');
    place(cluster, 1);
    const [pool] = pools(cluster);
    const policy = destinationPolicyOf(
      { connectionPool: { tcp: { connectTimeout: '1s', maxConnections: 7 }, http: { idleTimeout: '9s' } } },
      80,
    );
    cluster.update({ policy }, (hostOf) => [
      { host: hostOf('1', plainTransport({ host: '127.0.0.1', port: 1 })), weight: 1, destination: '127.0.0.1:1' },
    ]);
    assert.equal(pools(cluster)[0], pool);
    assert.equal(pool?.limits.connectTimeout, 1_000);
    assert.equal(pool?.limits.idleTimeout, 9_000);
    assert.equal(cluster.circuit.limits.maxConnections, 7);
  });

  it('look for another endpoint than those that were tried, and for one of them where there is none', () => {
    const cluster = make().open('a', 'a');
    place(cluster, 1, 2, 3);
    const [one, two, three] = pools(cluster);
    assert.ok(one && two && three);
    for (let round = 0; round < 20; round += 1) {
      assert.equal(cluster.retries.next([one, two]), three);
      assert.notEqual(cluster.retries.next([one]), one);
      assert.ok([one, two, three].includes(cluster.retries.next([one, two, three]) ?? assert.fail()));
    }
    place(cluster);
    assert.equal(cluster.retries.next([one]), undefined);
  });

  it('are bounded: those that nothing is open to are forgotten, and others are not', () => {
    const clusters = make();
    const used = clusters.open('used', 'used');
    used.circuit.connections = 1;
    for (let index = 0; index < 5_000; index += 1) clusters.open(`${index}`, `${index}`);
    assert.ok([...clusters.all].length <= 1_024);
    assert.equal(clusters.open('used', 'used'), used);
  });

  it('are not forgotten while one of their endpoints is left out, which another would have to find out', () => {
    const clusters = make();
    const ill = clusters.open('ill', 'ill');
    const policy = destinationPolicyOf({ outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: '1h' } }, 80);
    ill.update({ policy }, (hostOf) =>
      [1, 2].map((port) => {
        const transport = plainTransport({ host: '127.0.0.1', port });
        return { host: hostOf(`${port}`, transport), weight: 1, destination: transport.destination };
      }),
    );
    pools(ill)[0]?.health?.onConnectFailure();
    assert.equal(ill.ejected, 1);
    for (let index = 0; index < 5_000; index += 1) clusters.open(`${index}`, `${index}`);
    assert.equal(clusters.open('ill', 'ill'), ill);
  });

  it('say that they are forgotten to whoever has kept them', () => {
    const clusters = make();
    const kept = clusters.open('kept', 'kept');
    assert.equal(kept.forgotten, false);
    for (let index = 0; index < 1_100; index += 1) clusters.open(`${index}`, `${index}`);
    assert.equal(kept.forgotten, true);
    const again = clusters.open('kept', 'kept');
    assert.notEqual(again, kept);
    assert.equal(again.forgotten, false);
  });

  it('are told of by name, those of one name together', async () => {
    const clusters = make();
    const metrics = createMetrics({ processMetrics: false });
    exposeClusters(metrics, clusters);
    for (const key of ['x', 'y']) {
      const cluster = clusters.open(key, 'PassthroughCluster');
      place(cluster, 1);
      cluster.circuit.counts.upstream_rq_total += 2;
      cluster.circuit.connections = 3;
    }
    const { body } = await metrics.render();
    for (const line of [
      'envoy_cluster_upstream_rq_total{cluster_name="PassthroughCluster"} 4',
      'envoy_cluster_upstream_cx_active{cluster_name="PassthroughCluster"} 6',
      'envoy_cluster_membership_total{cluster_name="PassthroughCluster"} 2',
    ]) {
      assert.ok(body.split('\n').includes(line), line);
    }
  });

  it('lend nothing more once they are closed', () => {
    const clusters = make();
    const cluster = clusters.open('a', 'a');
    place(cluster, 1);
    const [pool] = pools(cluster);
    clusters.close();
    let failure = '';
    pool?.acquire({ onUpstream: () => assert.fail(), onUpstreamFailure: (flag) => (failure = flag) });
    assert.equal(failure, 'UH');
    assert.equal(cluster.pick(), undefined);
  });
});
