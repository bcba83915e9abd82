import { strict as assert } from 'node:assert';
import { createMetrics } from '../../src/observe/metrics.ts';

describe('metrics', () => {
  const linesOf = async (metrics: ReturnType<typeof createMetrics>): Promise<string[]> =>
    (await metrics.render()).body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

  it('renders counters with their labels in the order of the names, escaped', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const family = metrics.counter('seals_total', 'Seals.', ['kind', 'colour']);
    family.of('wax', 'a "red"\\\n').add(2);
    family.of('wax', 'a "red"\\\n').add();
    family.of('lead', '').add(0);
    assert.deepEqual(await linesOf(metrics), [
      'seals_total{kind="wax",colour="a \\"red\\"\\\\\\n"} 3',
      'seals_total{kind="lead",colour=""} 0',
    ]);
  });

  it('begins a series without labels at zero', async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.counter('seals_total', 'Seals.');
    assert.deepEqual(await linesOf(metrics), ['seals_total 0']);
  });

  it('renders a histogram with cumulative buckets, sum and count', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const series = metrics.histogram('weight_grams', 'Weight.', [1, 5], ['kind']).of('wax');
    for (const value of [0.5, 1, 3, 9]) series.observe(value);
    assert.deepEqual(await linesOf(metrics), [
      'weight_grams_bucket{le="1",kind="wax"} 2',
      'weight_grams_bucket{le="5",kind="wax"} 3',
      'weight_grams_bucket{le="+Inf",kind="wax"} 4',
      'weight_grams_sum{kind="wax"} 13.5',
      'weight_grams_count{kind="wax"} 4',
    ]);
  });

  it('removes series, and counts from zero when one comes back', async () => {
    const metrics = createMetrics({ processMetrics: false });
    const counter = metrics.counter('seals_total', 'Seals.', ['kind']);
    const histogram = metrics.histogram('weight_grams', 'Weight.', [1], ['kind']);
    counter.of('wax').add(5);
    histogram.of('wax').observe(1);
    counter.remove('wax');
    histogram.remove('wax');
    assert.deepEqual(await linesOf(metrics), []);
    counter.of('wax').add(1);
    assert.deepEqual(await linesOf(metrics), ['seals_total{kind="wax"} 1']);
  });

  it('refuses label values that do not fit the labels', () => {
    const metrics = createMetrics({ processMetrics: false });
    assert.throws(() => metrics.counter('seals_total', 'Seals.', ['kind']).of('wax', 'red'), TypeError);
  });
});
