import type { Across, CounterFamily, HistogramFamily, Metrics } from './metrics.ts';
import type { ReadSeries } from './read-series.ts';
import { HeldCount, HeldDistribution } from './series.ts';

/** Label values in the order of the family's names. */
export type SeriesKey = readonly string[];

interface FamilyChange {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Series that are not held any more. */
  readonly removed: readonly SeriesKey[];
}

/** What came about in one family since it was told of last. Plain values, fit to be sent to another thread. */
export type MetricChange =
  | (FamilyChange & {
      readonly kind: 'counter';
      readonly series: readonly { readonly key: SeriesKey; readonly amount: number }[];
    })
  | (FamilyChange & {
      readonly kind: 'histogram';
      readonly buckets: readonly number[];
      readonly series: readonly { readonly key: SeriesKey; readonly counts: Float64Array; readonly sum: number }[];
    })
  | { readonly kind: 'gauge'; readonly name: string; readonly help: string; readonly value: number | undefined }
  | {
      /** All series of a family that is read, as they are now. */
      readonly kind: 'read';
      readonly of: 'counter' | 'gauge';
      readonly name: string;
      readonly help: string;
      readonly labels: readonly string[];
      readonly across: Across;
      readonly series: readonly ReadSeries[];
    };

export interface MetricRecorder {
  readonly metrics: Metrics;
  /** What has changed since this was called last; series that did not change cost a comparison. */
  take(): MetricChange[];
}

interface Series<S> {
  readonly key: SeriesKey;
  readonly held: S;
  /** Whether anything was told of it. */
  told: boolean;
}

/** The series of one family, and which of them have gone since they were told of. */
class Recorded<S> {
  readonly #series = new Map<string, Series<S>>();
  readonly #gone = new Map<string, Series<S>>();
  readonly #create: () => S;

  constructor(create: () => S) {
    this.#create = create;
  }

  of(key: SeriesKey): S {
    const name = key.join('\0');
    const known = this.#series.get(name) ?? this.#gone.get(name);
    if (known !== undefined) {
      // One that comes back before it was missed has never been away.
      if (this.#gone.delete(name)) this.#series.set(name, known);
      return known.held;
    }
    const series = { key, held: this.#create(), told: false };
    this.#series.set(name, series);
    return series.held;
  }

  remove(key: SeriesKey): void {
    const name = key.join('\0');
    const series = this.#series.get(name);
    if (series === undefined) return;
    this.#series.delete(name);
    this.#gone.set(name, series);
  }

  /** @param changed what is to be told of a series; undefined where nothing has come to it */
  take<T>(changed: (held: S, first: boolean) => T | undefined): {
    readonly series: readonly ({ readonly key: SeriesKey } & T)[];
    readonly removed: readonly SeriesKey[];
  } {
    const gone = [...this.#gone.values()];
    this.#gone.clear();
    const series: ({ readonly key: SeriesKey } & T)[] = [];
    for (const each of [...this.#series.values(), ...gone]) {
      const told = changed(each.held, !each.told);
      each.told = true;
      if (told !== undefined) series.push({ key: each.key, ...told });
    }
    return { series, removed: gone.map(({ key }) => key) };
  }
}

class RecordedCount extends HeldCount {
  #told = 0;

  take(): number {
    const amount = this.value - this.#told;
    this.#told = this.value;
    return amount;
  }
}

class RecordedDistribution extends HeldDistribution {
  take(first: boolean): { readonly counts: Float64Array; readonly sum: number } | undefined {
    const { counts, sum } = this;
    if (!first && counts.every((count) => count === 0)) return undefined;
    this.counts = new Float64Array(counts.length);
    this.sum = 0;
    return { counts, sum };
  }
}

/**
 * Metrics of a thread that nobody scrapes: it counts, and tells another thread what came to it. Counting costs what it
 * costs where it is scraped; telling costs a walk over the series, and what changed of them is copied.
 */
export function createMetricRecorder(): MetricRecorder {
  const families: (() => MetricChange | undefined)[] = [];
  const metrics: Metrics = {
    counter: (name, help, labels = []): CounterFamily => {
      const recorded = new Recorded(() => new RecordedCount());
      if (labels.length === 0) recorded.of([]);
      families.push(() => {
        const { series, removed } = recorded.take((held, first) => {
          const amount = held.take();
          return first || amount !== 0 ? { amount } : undefined;
        });
        if (series.length === 0 && removed.length === 0) return undefined;
        return { kind: 'counter', name, help, labels, series, removed };
      });
      return { of: (...key) => recorded.of(key), remove: (...key) => recorded.remove(key) };
    },
    histogram: (name, help, buckets, labels = []): HistogramFamily => {
      const recorded = new Recorded(() => new RecordedDistribution(buckets));
      if (labels.length === 0) recorded.of([]);
      families.push(() => {
        const { series, removed } = recorded.take((held, first) => held.take(first));
        if (series.length === 0 && removed.length === 0) return undefined;
        return { kind: 'histogram', name, help, labels, buckets, series, removed };
      });
      return { of: (...key) => recorded.of(key), remove: (...key) => recorded.remove(key) };
    },
    gauge: (name, help, read) => {
      families.push(() => ({ kind: 'gauge', name, help, value: read() }));
    },
    readCounter: (name, help, labels, read) => {
      const family = { kind: 'read', of: 'counter', name, help, labels, across: 'sum' } as const;
      families.push(() => ({ ...family, series: [...read()] }));
    },
    readGauge: (name, help, labels, read, across = 'sum') => {
      const family = { kind: 'read', of: 'gauge', name, help, labels, across } as const;
      families.push(() => ({ ...family, series: [...read()] }));
    },
    info: () => {
      throw new TypeError('what a process is, it says itself');
    },
    render: () => Promise.reject(new TypeError('nobody scrapes this thread')),
  };
  return { metrics, take: () => families.flatMap((take) => take() ?? []) };
}
