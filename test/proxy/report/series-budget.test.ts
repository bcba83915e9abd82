import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { SeriesBudget, type Budgeted } from '../../../proxy/report/series-budget.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { createIstioMetrics } from '../../../proxy/report/istio-metrics.ts';
import { UNKNOWN_SERVICE } from '../../../proxy/report/edge.ts';
import { UNKNOWN_WORKLOAD } from '../../../proxy/report/reported-workload.ts';

function budget(limit: number) {
  const released: string[] = [];
  const made = new SeriesBudget<Budgeted>({
    limit,
    create: () => ({ used: true, evicted: false }),
    release: (values) => released.push(values.join(' ')),
  });
  return { made, released };
}

describe('the budget of series', () => {
  it('gives the same series for the same labels', () => {
    const { made } = budget(10);
    assert.equal(made.open(['a', 'b']), made.open(['a', 'b']));
    assert.notEqual(made.open(['a', 'b']), made.open(['a b']));
  });

  it('lets go of what was not used since the last time that room was needed', () => {
    const { made, released } = budget(3);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => made.open([name]));
    made.open(['d']);
    assert.deepEqual(released, ['a'], 'all were used, so the oldest goes');
    assert.ok(b && c && a?.evicted);
    b.used = true;
    made.open(['e']);
    assert.deepEqual(released, ['a', 'c']);
    assert.equal(b.evicted, false);
  });

  it('never holds more than its limit, and evicts nothing that it still gives out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(20), fc.boolean()), { maxLength: 200 }),
        fc.integer({ min: 1, max: 8 }),
        (steps, limit) => {
          const { made, released } = budget(limit);
          let opened = 0;
          for (const [name, use] of steps) {
            const before = made.size + released.length;
            const series = made.open([String(name)]);
            assert.equal(series.evicted, false);
            if (use) series.used = true;
            opened += made.size + released.length - before;
            assert.ok(made.size <= limit);
          }
          assert.equal(opened, made.size + released.length);
        },
      ),
    );
  });

  it('bounds what peers can make of the metrics, and says so', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const istio = createIstioMetrics({ metrics, limit: 5 });
    const edge = istio.http({
      reporter: 'destination',
      source: UNKNOWN_WORKLOAD,
      sourcePrincipal: undefined,
      destination: UNKNOWN_WORKLOAD,
      destinationPrincipal: undefined,
      service: UNKNOWN_SERVICE,
    });
    for (let status = 100; status < 200; status += 1) {
      edge.count({
        protocol: 'http',
        status,
        flags: '-',
        grpcStatus: '',
        duration: 1,
        requestBytes: 0,
        responseBytes: 0,
      });
    }
    const { body } = await metrics.render();
    assert.equal(body.match(/^istio_requests_total\{/gm)?.length, 5);
    assert.equal(body.match(/^istio_request_duration_milliseconds_count\{/gm)?.length, 5);
    assert.match(body, /^sealwright_metric_evictions_total 95$/m);
    assert.match(body, /^sealwright_metric_label_sets 5$/m);
  });

  it('counts again from zero on a series that was let go while its connection was open', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const istio = createIstioMetrics({ metrics, limit: 1 });
    const edgeTo = (host: string) =>
      istio.tcp({
        reporter: 'source',
        source: UNKNOWN_WORKLOAD,
        sourcePrincipal: undefined,
        destination: UNKNOWN_WORKLOAD,
        destinationPrincipal: undefined,
        service: { ...UNKNOWN_SERVICE, host },
      });
    const first = edgeTo('a');
    first.opened('-');
    edgeTo('b').opened('-');
    first.closed('-');
    const { body } = await metrics.render();
    assert.match(body, /^istio_tcp_connections_closed_total\{[^}]*destination_service="a"[^}]*\} 1$/m);
    assert.match(body, /^istio_tcp_connections_opened_total\{[^}]*destination_service="a"[^}]*\} 0$/m);
  });
});
