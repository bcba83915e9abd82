/** What a client has sent and nobody has taken yet: the rest of one chunk, or several joined. */
export class HeldInput {
  /** What it lies in; undefined where there is none. */
  bytes: Buffer | undefined;
  /** Where in it. */
  from = 0;

  /** In bytes. */
  get length(): number {
    return this.bytes === undefined ? 0 : this.bytes.length - this.from;
  }

  /** Keeps what was received behind it, from `from` on. */
  add(chunk: Buffer, from: number): void {
    if (this.bytes === undefined) {
      this.bytes = chunk;
      this.from = from;
    } else {
      const rest = from === 0 ? chunk : chunk.subarray(from);
      this.bytes = Buffer.concat([this.bytes.subarray(this.from), rest]);
      this.from = 0;
    }
  }

  /** All before `position` is taken. */
  takeTo(position: number): void {
    this.from = position;
    if (position === this.bytes?.length) this.bytes = undefined;
  }

  /** Takes all, in one piece; undefined where there is none. */
  takeAll(): Buffer | undefined {
    const { bytes, from } = this;
    this.bytes = undefined;
    return from === 0 ? bytes : bytes?.subarray(from);
  }

  clear(): void {
    this.bytes = undefined;
  }
}
