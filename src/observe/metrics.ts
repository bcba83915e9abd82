import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** One time series, with its labels bound: resolve it once, then count at the cost of an addition. */
export interface Count {
  add(amount?: number): void;
}

/** A counter with labels. `of` binds label values in the order of the names. */
export interface CounterFamily {
  of(...values: string[]): Count;
}

export interface HistogramFamily {
  of(...values: string[]): { observe(value: number): void };
}

/** A registry of metrics in Prometheus' terms: the only way in which rooms count. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): CounterFamily;
  histogram(name: string, help: string, buckets: readonly number[], labels?: readonly string[]): HistogramFamily;
  /** A gauge that is read when somebody scrapes. Answer nothing to leave the series out. */
  gauge(name: string, help: string, read: () => number | undefined): void;
  /** The text exposition format. */
  render(): Promise<{ contentType: string; body: string }>;
}

export function createMetrics(options: { readonly processMetrics: boolean }): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  return {
    counter: (name, help, labels = []) => {
      const counter = new Counter({ name, help, labelNames: [...labels], registers: [registry] });
      return {
        of: (...values) => {
          const series = counter.labels(...values);
          return { add: (amount = 1) => series.inc(amount) };
        },
      };
    },
    histogram: (name, help, buckets, labels = []) => {
      const family = new Histogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: [...labels],
        registers: [registry],
      });
      return {
        of: (...values) => {
          const series = family.labels(...values);
          return { observe: (value) => series.observe(value) };
        },
      };
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
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
