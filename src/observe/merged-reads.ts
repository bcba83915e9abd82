import type { MetricChange } from './metric-recorder.ts';
import type { Across, Metrics } from './metrics.ts';
import type { ReadSeries } from './read-series.ts';

type ReadChange = Extract<MetricChange, { kind: 'read' }>;

interface Family {
  readonly across: Across;
  readonly ofThreads: Map<number, readonly ReadSeries[]>;
  /** What threads counted that have ended, of series that others still have. */
  readonly ended: Map<string, number>;
}

/** Adds up what several threads have read of numbers that somebody else holds. */
export class MergedReads {
  readonly #metrics: Metrics;
  readonly #families = new Map<string, Family>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  set(thread: number, change: ReadChange): void {
    this.#familyOf(change).ofThreads.set(thread, change.series);
  }

  /** A thread has ended. */
  forget(thread: number): void {
    for (const { across, ofThreads, ended } of this.#families.values()) {
      const gone = ofThreads.get(thread) ?? [];
      ofThreads.delete(thread);
      const held = new Set([...ofThreads.values()].flatMap((series) => series.map(keyOf)));
      for (const key of ended.keys()) if (!held.has(key)) ended.delete(key);
      if (across !== 'sum') continue;
      for (const each of gone) {
        const key = keyOf(each);
        if (held.has(key)) ended.set(key, (ended.get(key) ?? 0) + each.value);
      }
    }
  }

  #familyOf({ of, name, help, labels, across }: ReadChange): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      const made: Family = { across, ofThreads: new Map(), ended: new Map() };
      this.#families.set(name, (family = made));
      if (of === 'counter') this.#metrics.readCounter(name, help, labels, () => joined(made, true));
      else this.#metrics.readGauge(name, help, labels, () => joined(made, false));
    }
    return family;
  }
}

function joined({ across, ofThreads, ended }: Family, counts: boolean): Iterable<ReadSeries> {
  const all = new Map<string, { values: readonly string[]; value: number }>();
  for (const series of ofThreads.values()) {
    for (const { values, value } of series) {
      const key = values.join('\0');
      const known = all.get(key);
      if (known === undefined) all.set(key, { values, value: value + (counts ? (ended.get(key) ?? 0) : 0) });
      else known.value = across === 'sum' ? known.value + value : Math.max(known.value, value);
    }
  }
  return all.values();
}

function keyOf({ values }: ReadSeries): string {
  return values.join('\0');
}
