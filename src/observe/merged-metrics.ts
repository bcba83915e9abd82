import { MergedReads } from './merged-reads.ts';
import type { MetricChange, SeriesKey } from './metric-recorder.ts';
import type { CounterFamily, HistogramFamily, Metrics } from './metrics.ts';

interface Family<F> {
  readonly metrics: F;
  /** Who counts on a series, by its label values. */
  readonly holders: Map<string, { readonly key: SeriesKey; readonly who: Set<number> }>;
}

/**
 * Adds up in one registry what several threads counted. A series stays as long as one of them holds it; what a thread
 * counted that has ended stays counted as long as another has the series.
 */
export class MergedMetrics {
  readonly #metrics: Metrics;
  readonly #counters = new Map<string, Family<CounterFamily>>();
  readonly #histograms = new Map<string, Family<HistogramFamily>>();
  readonly #gauges = new Map<string, Map<number, number>>();
  readonly #reads: MergedReads;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#reads = new MergedReads(metrics);
  }

  /** @param thread whose changes they are: each thread's are to come in their order */
  add(thread: number, changes: readonly MetricChange[]): void {
    for (const change of changes) {
      switch (change.kind) {
        case 'counter': {
          const { name, help, labels } = change;
          const family = familyOf(this.#counters, name, () => this.#metrics.counter(name, help, labels));
          for (const { key, amount } of change.series) {
            hold(family, key, thread);
            family.metrics.of(...key).add(amount);
          }
          for (const key of change.removed) release(family, key, thread);
          break;
        }
        case 'histogram': {
          const { name, help, buckets, labels } = change;
          const family = familyOf(this.#histograms, name, () => this.#metrics.histogram(name, help, buckets, labels));
          for (const { key, counts, sum } of change.series) {
            hold(family, key, thread);
            family.metrics.of(...key).merge(counts, sum);
          }
          for (const key of change.removed) release(family, key, thread);
          break;
        }
        case 'gauge':
          this.#setGauge(thread, change);
          break;
        case 'read':
          this.#reads.set(thread, change);
          break;
        default:
          change satisfies never;
      }
    }
  }

  /** A thread has ended. */
  forget(thread: number): void {
    for (const families of [this.#counters, this.#histograms]) {
      for (const family of families.values()) {
        for (const { key } of family.holders.values()) release(family, key, thread);
      }
    }
    for (const values of this.#gauges.values()) values.delete(thread);
    this.#reads.forget(thread);
  }

  #setGauge(thread: number, { name, help, value }: Extract<MetricChange, { kind: 'gauge' }>): void {
    let values = this.#gauges.get(name);
    if (values === undefined) {
      const all = new Map<number, number>();
      this.#gauges.set(name, (values = all));
      this.#metrics.gauge(name, help, () =>
        all.size === 0 ? undefined : [...all.values()].reduce((sum, each) => sum + each, 0),
      );
    }
    if (value === undefined) values.delete(thread);
    else values.set(thread, value);
  }
}

function familyOf<F>(families: Map<string, Family<F>>, name: string, create: () => F): Family<F> {
  let family = families.get(name);
  if (family === undefined) families.set(name, (family = { metrics: create(), holders: new Map() }));
  return family;
}

function hold({ holders }: Family<unknown>, key: SeriesKey, thread: number): void {
  const name = key.join('\0');
  let holder = holders.get(name);
  if (holder === undefined) holders.set(name, (holder = { key, who: new Set() }));
  holder.who.add(thread);
}

function release(family: Family<{ remove(...key: string[]): void }>, key: SeriesKey, thread: number): void {
  // A series without labels is one of the process, as long as that runs.
  if (key.length === 0) return;
  const name = key.join('\0');
  const holder = family.holders.get(name);
  if (holder?.who.delete(thread) !== true || holder.who.size > 0) return;
  family.holders.delete(name);
  family.metrics.remove(...key);
}
