import type { OnReadOpts, Socket } from 'node:net';
import { readInto } from './read-into.ts';

/** Sizes of the buffer that is read into. ztunnel's steps: an idle connection holds 1 KiB, a busy one reads 256 at once. */
const SIZES = [1024, 16 * 1024, 256 * 1024] as const;
/** Up to here bytes are copied out of the buffer, which costs less than to stop reading until they are written. */
const COPIED = 4 * 1024;
/** The most that a TLS socket delivers at once. */
const TLS_RECORD = 16 * 1024;
/** Up to which step the buffer of a TLS socket grows: what is longer than a record is never filled. */
const TLS_STEP = 1;
/** Reads in a row that a smaller buffer would have held, until there is a smaller one. */
const PATIENCE = 16;

/**
 * Reads a socket into one buffer, again and again, instead of a new one for each read. The buffer
 * grows when a read fills it, and shrinks when reads are short. What was read into it is passed on without a copy, and
 * nothing more is read until it was written, so that no connection ever holds more than one buffer; or, of a TLS socket,
 * what it has decrypted besides.
 */
export class GrowingReader {
  /** For `net.connect` or `tls.connect`. */
  readonly onread: OnReadOpts;
  #step = 0;
  #short = 0;
  #buffer: Buffer | undefined;
  #from: Socket | undefined;
  #to: Socket | undefined;
  #count: (length: number) => void = ignore;
  /** What came before anybody took it. */
  #held: Buffer[] = [];
  /** Writes whose end Node has not told yet. */
  #pending = 0;
  /** Whether the buffer lies in one of them. */
  #lent = false;

  constructor() {
    this.onread = { buffer: () => this.#next(), callback: this.#onRead };
  }

  /** The size of its buffer, in bytes. */
  get size(): number {
    return SIZES[this.#step] ?? 0;
  }

  /** Passes on to `to` what `from`, which was made with `onread`, receives. */
  attach(from: Socket, to: Socket, count: (length: number) => void): void {
    this.#from = from;
    this.#to = to;
    this.#count = count;
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) {
      count(bytes.length);
      to.write(bytes);
    }
  }

  /** The same for a socket that was accepted. Says whether Node lets it; where not, the socket emits `data`. */
  adopt(from: Socket, to: Socket, count: (length: number) => void): boolean {
    let current = this.#next();
    const adopted = readInto(from, {
      first: current,
      next: () => {
        const next = this.#next();
        if (next === current) return undefined;
        return (current = next);
      },
      callback: (length, read) => {
        // In its turn: before it comes what the socket holds, which it emits.
        while (from.readableLength > 0 && from.read() !== null);
        return this.#onRead(length, read);
      },
    });
    if (adopted) this.attach(from, to, count);
    return adopted;
  }

  readonly #onRead = (length: number, read: Uint8Array): boolean => {
    this.#adapt(length, read.length);
    const bytes = Buffer.from(read.buffer, read.byteOffset, length);
    const to = this.#to;
    if (to === undefined) {
      this.#held.push(Buffer.from(bytes));
      return false;
    }
    this.#count(length);
    if (length <= COPIED) return to.write(Buffer.from(bytes));
    this.#pending += 1;
    to.write(bytes, this.#written);
    // The kernel took it all at once: nobody will look at the buffer again, though Node calls back only later.
    if (to.writableLength === 0) return true;
    this.#lent = true;
    return false;
  };

  readonly #written = (): void => {
    this.#pending -= 1;
    if (this.#pending > 0 || !this.#lent) return;
    this.#lent = false;
    this.#from?.resume();
  };

  #adapt(length: number, size: number): void {
    const most = this.#from !== undefined && 'encrypted' in this.#from ? TLS_STEP : SIZES.length - 1;
    if (length === size && this.#step < most) {
      this.#step += 1;
      this.#short = 0;
    } else if (length <= (SIZES[this.#step - 1] ?? 0)) {
      this.#short += 1;
      if (this.#short < PATIENCE) return;
      this.#step -= 1;
      this.#short = 0;
    } else {
      this.#short = 0;
    }
  }

  /** Node asks after each read what the next one goes into. */
  #next(): Buffer {
    // A TLS socket that was told to stop still delivers what it has decrypted: a record at a time, and not into what is
    // being written.
    if (this.#lent && this.#from !== undefined && 'encrypted' in this.#from) return Buffer.allocUnsafeSlow(TLS_RECORD);
    if (this.#buffer?.length !== this.size) this.#buffer = Buffer.allocUnsafeSlow(this.size);
    return this.#buffer;
  }
}

function ignore(): void {
  // Nobody counts yet.
}
