import { Counter, Gauge, type MetricObjectWithValues, type MetricValue, type Registry } from 'prom-client';

/** One series of a family that is read: its label values in the order of the names, and its number. */
export interface ReadSeries {
  readonly values: readonly string[];
  readonly value: number;
}

export interface ReadFamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly registry: Registry;
  /** Asked when somebody scrapes. */
  readonly read: () => Iterable<ReadSeries>;
}

/** A prom-client counter of which somebody else holds the numbers. */
export class ReadCounter extends Counter {
  readonly #rows: () => MetricValue<string>[];

  constructor(options: ReadFamilyOptions) {
    super(configurationOf(options));
    this.#rows = () => rowsOf(options);
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    return { ...(await super.get()), values: this.#rows() };
  }
}

/** The same for a number that goes up and down. */
export class ReadGauge extends Gauge {
  readonly #rows: () => MetricValue<string>[];

  constructor(options: ReadFamilyOptions) {
    super(configurationOf(options));
    this.#rows = () => rowsOf(options);
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    return { ...(await super.get()), values: this.#rows() };
  }
}

function configurationOf({ name, help, labels, registry }: ReadFamilyOptions) {
  return { name, help, labelNames: [...labels], registers: [registry] };
}

function rowsOf({ labels: names, read }: ReadFamilyOptions): MetricValue<string>[] {
  return [...read()].map(({ values, value }) => {
    return { value, labels: Object.fromEntries(names.map((name, index) => [name, values[index] ?? ''])) };
  });
}
