import { BodyReader } from './body-reader.ts';
import type { BodySink } from './chunked-reader.ts';
import type { Problem } from './problems.ts';
import type { RequestHead } from './request-head.ts';
import type { PeekedBody, PeekExtent } from './waiting-client.ts';

/**
 * Bytes of chunk sizes and trailers that may come with each byte of content that is read ahead: a body in chunks of one
 * byte is six times its content. More is taken for a body that is too long.
 */
const FRAMING_FACTOR = 6;
const FRAMING_ROOM = 1024;

/** Reads a body without consuming it: what it was given is read again when it is passed on. */
export class BodyPeek implements BodySink {
  readonly #body = new BodyReader();
  readonly #head: RequestHead;
  readonly #extent: PeekExtent;
  readonly #done: (body: PeekedBody) => void;
  readonly #pieces: Buffer[] = [];
  readonly #contents: Buffer[] = [];
  #length = 0;
  #read = 0;
  #settled = false;

  constructor(head: RequestHead, extent: PeekExtent, done: (body: PeekedBody) => void) {
    this.#head = head;
    this.#extent = extent;
    this.#done = done;
    this.#body.begin(head.framing, head.contentLength);
    const { maxBytes, partial } = extent;
    const hopeless = !partial && head.framing === 'length' && head.contentLength > maxBytes;
    if (hopeless || this.#body.done || maxBytes === 0) this.#settle();
  }

  /** Whether it wants no more. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Why the body is none. */
  get problem(): Problem | undefined {
    return this.#body.problem;
  }

  /** Everything that it was given, in one piece, and not again. */
  take(): Buffer {
    const pieces = this.#pieces.splice(0);
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  }

  /** False for a body that is malformed. Not asked any more once it is settled. */
  read(bytes: Buffer): boolean {
    this.#pieces.push(bytes);
    this.#read += bytes.length;
    if (this.#body.consume(bytes, 0, bytes.length, this) < 0) return false;
    const { maxBytes, partial } = this.#extent;
    const framing = this.#read - this.#length > maxBytes * FRAMING_FACTOR + FRAMING_ROOM;
    const enough = partial ? this.#length >= maxBytes : this.#length > maxBytes;
    if (this.#body.done || enough || framing) this.#settle();
    return true;
  }

  forward(bytes: Buffer, from: number, to: number): void {
    if (this.#head.framing !== 'chunked') this.content(bytes, from, to);
  }

  content(bytes: Buffer, from: number, to: number): void {
    this.#length += to - from;
    this.#contents.push(bytes.subarray(from, to));
  }

  #settle(): void {
    this.#settled = true;
    const { maxBytes } = this.#extent;
    const bytes = Buffer.concat(this.#contents.splice(0), Math.min(this.#length, maxBytes));
    this.#done({ bytes, whole: this.#body.done && this.#length <= maxBytes });
  }
}
