import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import { HeldCounter, HeldHistogram } from './held-series.ts';
import { ReadCounter, ReadGauge, type ReadSeries } from './read-series.ts';
import type { Count, Distribution } from './series.ts';

export type { Count, Distribution } from './series.ts';

/** A counter with labels. `of` binds label values in the order of the names. */
export interface CounterFamily {
  of(...values: string[]): Count;
  /** Takes a series away. Whoever still counts on it is not heard any more. */
  remove(...values: string[]): void;
}

export interface HistogramFamily {
  of(...values: string[]): Distribution;
  /** See `CounterFamily`. */
  remove(...values: string[]): void;
}

/** What the numbers of several threads come to: mostly their sum; the greatest where each counts the same things. */
export type Across = 'sum' | 'most';

/** A registry of metrics in Prometheus' terms: the only way in which rooms count. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): CounterFamily;
  histogram(name: string, help: string, buckets: readonly number[], labels?: readonly string[]): HistogramFamily;
  /** A gauge that is read when somebody scrapes. Answer nothing to leave the series out. */
  gauge(name: string, help: string, read: () => number | undefined): void;
  /** Series of which somebody else holds the numbers: read when somebody scrapes. */
  readCounter(name: string, help: string, labels: readonly string[], read: () => Iterable<ReadSeries>): void;
  readGauge(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Iterable<ReadSeries>,
    across?: Across,
  ): void;
  /** A gauge that is always 1 and says what is in its labels, such as a version. */
  info(name: string, help: string, labels: Readonly<Record<string, string>>): void;
  /** The text exposition format. */
  render(): Promise<{ contentType: string; body: string }>;
}

export function createMetrics(options: { readonly processMetrics: boolean }): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  return {
    counter: (name, help, labels = []) => {
      const family = new HeldCounter({ name, help, labels, registry });
      return { of: (...values) => family.bind(values), remove: (...values) => family.drop(values) };
    },
    histogram: (name, help, buckets, labels = []) => {
      const family = new HeldHistogram({ name, help, buckets, labels, registry });
      return { of: (...values) => family.bind(values), remove: (...values) => family.drop(values) };
    },
    gauge: (name, help, read) => {
      void new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          const value = read();
          if (value === undefined) this.reset();
          else this.set(value);
        },
      });
    },
    readCounter: (name, help, labels, read) => void new ReadCounter({ name, help, labels, registry, read }),
    readGauge: (name, help, labels, read) => void new ReadGauge({ name, help, labels, registry, read }),
    info: (name, help, labels) => {
      new Gauge({ name, help, labelNames: Object.keys(labels), registers: [registry] }).set({ ...labels }, 1);
    },
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
