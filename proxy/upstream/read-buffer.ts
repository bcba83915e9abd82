/** One read of this size costs less than four of 64 KiB; ztunnel reads as much. */
const SIZE = 256 * 1024;
/** Kept for the next long answer. Above, they are garbage. */
const MOST_FREE = 4;

const FREE: ReadBuffer[] = [];

/**
 * What one connection reads a long answer into. It is written on without a copy: until that write is over the buffer is
 * lent, and nothing may be read into it.
 */
export class ReadBuffer {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(SIZE);
  #writes = 0;
  #onReturned: (() => void) | undefined;

  /** One that nobody uses. `onReturned` is called whenever a loan has ended, until it is released. */
  static take(onReturned: () => void): ReadBuffer {
    const buffer = FREE.pop() ?? new ReadBuffer();
    buffer.#onReturned = onReturned;
    return buffer;
  }

  get lent(): boolean {
    return this.#writes > 0;
  }

  /** To be called when the write that a part of it is given to is over, whatever became of it. */
  lend(): () => void {
    this.#writes += 1;
    return this.#returned;
  }

  /** The connection needs it no more. Whoever comes next gets it when no write holds it. */
  release(): void {
    this.#onReturned = undefined;
    if (this.#writes === 0) keep(this);
  }

  readonly #returned = (): void => {
    this.#writes -= 1;
    if (this.#writes > 0) return;
    if (this.#onReturned === undefined) keep(this);
    else this.#onReturned();
  };
}

function keep(buffer: ReadBuffer): void {
  if (FREE.length < MOST_FREE) FREE.push(buffer);
}
