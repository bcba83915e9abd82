/**
 * Reads fields of an unknown value from outside, one by one: parsed, not asserted. What is wrong with a field is told to
 * `refuse`, which throws the error of the edge that reads.
 */
export class RecordReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #refuse: (field: string, reason: string) => Error;

  constructor(value: unknown, refuse: (field: string, reason: string) => Error) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('', 'is no object');
    this.#fields = { ...value };
    this.#refuse = refuse;
  }

  text(name: string): string {
    const value = this.#get(name);
    if (typeof value === 'string') return value;
    throw this.#refuse(name, value === undefined ? 'is missing' : 'is no text');
  }

  optionalText(name: string): string | undefined {
    return this.#get(name) === undefined ? undefined : this.text(name);
  }

  /** A whole number that JSON carried exactly. */
  wholeNumber(name: string): number {
    const value = this.#get(name);
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
    throw this.#refuse(name, value === undefined ? 'is missing' : 'is no whole number');
  }

  optionalWholeNumber(name: string): number | undefined {
    return this.#get(name) === undefined ? undefined : this.wholeNumber(name);
  }

  truth(name: string): boolean {
    const value = this.#get(name);
    if (typeof value === 'boolean') return value;
    throw this.#refuse(name, value === undefined ? 'is missing' : 'is neither true nor false');
  }

  texts(name: string): readonly string[] {
    const value = this.#get(name);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw this.#refuse(name, value === undefined ? 'is missing' : 'is no list of texts');
  }

  /** A list of objects, each read in turn. */
  records(name: string): readonly RecordReader[] {
    const value = this.#get(name);
    if (!Array.isArray(value)) throw this.#refuse(name, value === undefined ? 'is missing' : 'is no list');
    return value.map((item: unknown) => new RecordReader(item, this.#refuse));
  }

  record(name: string): RecordReader {
    return new RecordReader(this.#get(name), this.#refuse);
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }
}
