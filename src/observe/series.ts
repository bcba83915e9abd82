/** One time series, with its labels bound: resolve it once, then count at the cost of an addition. */
export interface Count {
  add(amount?: number): void;
}

/** The same for a distribution. */
export interface Distribution {
  observe(value: number): void;
  /** Adds what was observed elsewhere: how many values fell into each bucket, the last for what exceeds all. */
  merge(counts: Float64Array, sum: number): void;
}

export class HeldCount implements Count {
  value = 0;

  add(amount = 1): void {
    this.value += amount;
  }
}

export class HeldDistribution implements Distribution {
  readonly #bounds: readonly number[];
  /** How many values fell between each bound and the one before; the last is what exceeds all. */
  counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    // From below: most durations and sizes are small.
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }

  merge(counts: Float64Array, sum: number): void {
    for (const [index, count] of counts.entries()) this.counts[index] = (this.counts[index] ?? 0) + count;
    this.sum += sum;
  }
}
