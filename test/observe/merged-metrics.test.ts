import { strict as assert } from 'node:assert';
import { MergedMetrics } from '../../src/observe/merged-metrics.ts';
import { createMetricRecorder } from '../../src/observe/metric-recorder.ts';
import { createMetrics, type Metrics } from '../../src/observe/metrics.ts';

describe('metrics of several threads', () => {
  const count = (metrics: Metrics) => metrics.counter('seals_total', 'Seals.', ['kind']);
  const weigh = (metrics: Metrics) => metrics.histogram('weight_grams', 'Weight.', [1, 5], ['kind']);
  let metrics: Metrics;
  let merged: MergedMetrics;
  let threads: ReturnType<typeof createMetricRecorder>[];

  beforeEach(() => {
    metrics = createMetrics({ processMetrics: false });
    merged = new MergedMetrics(metrics);
    threads = [createMetricRecorder(), createMetricRecorder()];
  });

  const scrape = async (): Promise<string[]> => {
    for (const [thread, recorder] of threads.entries()) {
      // As it crosses between threads.
      merged.add(thread, structuredClone(recorder.take()));
    }
    return (await metrics.render()).body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };

  it('are added up, and each is told of once', async () => {
    for (const [thread, recorder] of threads.entries()) {
      count(recorder.metrics)
        .of('wax')
        .add(thread + 1);
      weigh(recorder.metrics)
        .of('wax')
        .observe(thread * 3);
    }
    const lines = [
      'seals_total{kind="wax"} 3',
      'weight_grams_bucket{le="1",kind="wax"} 1',
      'weight_grams_bucket{le="5",kind="wax"} 2',
      'weight_grams_bucket{le="+Inf",kind="wax"} 2',
      'weight_grams_sum{kind="wax"} 3',
      'weight_grams_count{kind="wax"} 2',
    ];
    assert.deepEqual(await scrape(), lines);
    assert.deepEqual(await scrape(), lines);
    assert.deepEqual(
      threads.map((recorder) => recorder.take()),
      [[], []],
    );
  });

  it('begin where one thread has the series, at zero where it counted nothing', async () => {
    count(threads[0]?.metrics ?? metrics).of('wax');
    threads[1]?.metrics.counter('lost_total', 'Lost.');
    assert.deepEqual(await scrape(), ['seals_total{kind="wax"} 0', 'lost_total 0']);
  });

  it('keep a series until no thread holds it', async () => {
    const families = threads.map((recorder) => count(recorder.metrics));
    for (const family of families) family.of('wax').add(2);
    assert.deepEqual(await scrape(), ['seals_total{kind="wax"} 4']);
    families[0]?.of('wax').add(1);
    families[0]?.remove('wax');
    assert.deepEqual(await scrape(), ['seals_total{kind="wax"} 5']);
    families[1]?.remove('wax');
    assert.deepEqual(await scrape(), []);
  });

  it('lose nothing of a series that comes back before anybody asked', async () => {
    const family = count(threads[0]?.metrics ?? metrics);
    family.of('wax').add(2);
    family.remove('wax');
    family.of('wax').add(3);
    assert.deepEqual(await scrape(), ['seals_total{kind="wax"} 5']);
    family.remove('wax');
    assert.deepEqual(await scrape(), []);
    family.of('wax').add(1);
    assert.deepEqual(await scrape(), ['seals_total{kind="wax"} 1']);
  });

  it('never count backwards when a thread ends, while another holds the series', async () => {
    for (const recorder of threads) count(recorder.metrics).of('wax').add(2);
    await scrape();
    merged.forget(0);
    threads[0] = createMetricRecorder();
    count(threads[0].metrics).of('wax').add(1);
    assert.deepEqual(await scrape(), ['seals_total{kind="wax"} 5']);
  });

  it('add up gauges of the threads that are there', async () => {
    for (const [thread, recorder] of threads.entries()) recorder.metrics.gauge('open', 'Open.', () => thread + 1);
    assert.deepEqual(await scrape(), ['open 3']);
    threads.pop();
    merged.forget(1);
    assert.deepEqual(await scrape(), ['open 1']);
  });

  it('add up numbers that somebody else holds, or take the greatest where all count the same things', async () => {
    for (const [thread, { metrics: own }] of threads.entries()) {
      own.readCounter('opened_total', 'Opened.', ['to'], () => [{ values: ['shop'], value: thread + 1 }]);
      own.readGauge('open', 'Open.', ['to'], () => [{ values: ['shop'], value: thread + 1 }]);
      own.readGauge('members', 'Members.', ['to'], () => [{ values: ['shop'], value: 3 }], 'most');
    }
    const lines = ['opened_total{to="shop"} 3', 'open{to="shop"} 3', 'members{to="shop"} 3'];
    assert.deepEqual(await scrape(), lines);
    assert.deepEqual(await scrape(), lines);
    // What was counted stays counted, what was open is not open any more.
    merged.forget(0);
    threads.splice(0, 1, createMetricRecorder());
    assert.deepEqual(await scrape(), ['opened_total{to="shop"} 3', 'open{to="shop"} 2', 'members{to="shop"} 3']);
    merged.forget(1);
    threads.pop();
    assert.deepEqual(await scrape(), []);
  });
});
