const LINE_BREAK = 0x0a;

/** Cuts a stream of bytes into lines of a bounded length. */
export class LineSplitter {
  readonly #limit: number;
  #pieces: Buffer[] = [];
  #size = 0;

  /** @param limit bytes of the longest line */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether the last line has no end yet. */
  get isInLine(): boolean {
    return this.#size > 0;
  }

  /** The lines that this piece completes, without their ends; false once one was too long, and for ever after. */
  push(piece: Buffer): Buffer[] | false {
    if (this.#size > this.#limit) return false;
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = piece.indexOf(LINE_BREAK); end !== -1; end = piece.indexOf(LINE_BREAK, start)) {
      const rest = piece.subarray(start, end);
      this.#size += rest.length;
      if (this.#size > this.#limit) return false;
      lines.push(this.#pieces.length === 0 ? rest : Buffer.concat([...this.#pieces, rest]));
      this.#pieces = [];
      this.#size = 0;
      start = end + 1;
    }
    if (start < piece.length) this.#pieces.push(piece.subarray(start));
    this.#size += piece.length - start;
    if (this.#size <= this.#limit) return lines;
    this.#pieces = [];
    return false;
  }
}
