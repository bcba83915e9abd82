/** A set of series that are counted together, as its holder sees it. */
export interface Budgeted {
  /** Set by whoever counts. */
  used: boolean;
  /** Set when it was let go: whoever holds it asks for a new one. */
  evicted: boolean;
}

export interface SeriesBudgetOptions<S extends Budgeted> {
  /** How many sets of label values there may be. */
  readonly limit: number;
  readonly create: (values: readonly string[]) => S;
  readonly release: (values: readonly string[]) => void;
  readonly onEvicted?: () => void;
}

/**
 * Keeps the number of series bounded: what nobody used for longest goes first. Peers choose some of the label values
 * (status codes, their own names), so without a bound they would choose how much memory this process has.
 *
 * "Longest" is approximate, by a second chance: using a series sets a flag and moves nothing, so that the data path
 * pays one assignment.
 */
export class SeriesBudget<S extends Budgeted> {
  readonly #options: SeriesBudgetOptions<S>;
  readonly #held = new Map<string, { readonly values: readonly string[]; readonly series: S }>();

  constructor(options: SeriesBudgetOptions<S>) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The series with these label values, made where there is none. */
  open(values: readonly string[]): S {
    const key = values.join('\0');
    const known = this.#held.get(key);
    if (known !== undefined) return known.series;
    if (this.#held.size >= this.#options.limit) this.#evict();
    const series = this.#options.create(values);
    this.#held.set(key, { values, series });
    return series;
  }

  #evict(): void {
    let chances = this.#held.size;
    for (const [key, held] of this.#held) {
      this.#held.delete(key);
      if (held.series.used && chances > 0) {
        chances -= 1;
        held.series.used = false;
        this.#held.set(key, held);
        continue;
      }
      held.series.evicted = true;
      this.#options.release(held.values);
      this.#options.onEvicted?.();
      return;
    }
  }
}
