export interface MergedLinesOptions {
  /** See `AccessLogOptions`. */
  readonly write: (lines: string) => boolean;
  readonly onDrain: (listener: () => void) => void;
}

/**
 * Where the access logs of all threads come together, in the order in which they come. A thread is told that its lines
 * were taken only once whoever reads the log takes more, so that a log that nobody reads fills no memory here.
 */
export class MergedLines {
  readonly #options: MergedLinesOptions;
  #untold: (() => void)[] = [];
  #blocked = false;

  constructor(options: MergedLinesOptions) {
    this.#options = options;
    options.onDrain(() => {
      this.#blocked = false;
      const untold = this.#untold;
      this.#untold = [];
      for (const told of untold) told();
    });
  }

  /** @param told called when there is room for more */
  write(lines: string, told: () => void): void {
    this.#blocked = !this.#options.write(lines) || this.#blocked;
    if (this.#blocked) this.#untold.push(told);
    else told();
  }
}
