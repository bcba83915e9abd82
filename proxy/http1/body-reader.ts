import { ChunkedReader, type BodySink } from './chunked-reader.ts';
import type { MessageHead } from './message-head.ts';
import type { Framing } from './request-head.ts';
import type { Problem } from './problems.ts';

/** Follows one body to its end and passes its bytes on. One object serves all bodies of one direction. */
export class BodyReader {
  #framing: Framing = 'none';
  #left = 0;
  #received = 0;
  #closed = false;
  #chunked: ChunkedReader | undefined;

  /** @param head of the message, which says by then what must not come as a trailer */
  begin(framing: Framing, contentLength: number, head?: MessageHead): void {
    this.#framing = framing;
    this.#left = framing === 'length' ? contentLength : 0;
    this.#received = 0;
    this.#closed = false;
    if (framing === 'chunked') (this.#chunked ??= new ChunkedReader()).begin(head);
  }

  /** Whether the whole body was read. */
  get done(): boolean {
    if (this.#framing === 'chunked') return this.#chunked?.done === true;
    return this.#framing === 'until-close' ? this.#closed : this.#left === 0;
  }

  /** Bytes of content so far, chunk sizes not counted. */
  get received(): number {
    return this.#framing === 'chunked' ? (this.#chunked?.received ?? 0) : this.#received;
  }

  get problem(): Problem | undefined {
    return this.#chunked?.problem;
  }

  /** Reads on at `from`: where the body ended, `end` when it has not ended yet, -1 when it is refused. */
  consume(bytes: Buffer, from: number, end: number, sink: BodySink): number {
    if (this.#framing === 'none') return from;
    if (this.#framing === 'chunked') return this.#chunked?.consume(bytes, from, end, sink) ?? -1;
    let taken = end - from;
    if (this.#framing === 'length') {
      taken = Math.min(this.#left, taken);
      this.#left -= taken;
    }
    this.#received += taken;
    if (taken > 0) sink.forward(bytes, from, from + taken);
    return from + taken;
  }

  /** The sender closed cleanly. Whether that ends the body: it does only where nothing else says its length. */
  close(): boolean {
    if (this.#framing === 'until-close') this.#closed = true;
    return this.done;
  }
}
