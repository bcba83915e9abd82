import type { ReadBuffer } from '../upstream/read-buffer.ts';
import type { BodySink } from './chunked-reader.ts';
import type { ExchangeClient } from './exchange-client.ts';

/** Up to here bytes are copied, which costs less than to stop reading until they are written. */
const COPIED = 4 * 1024;

/** Passes an answer's body on without a copy: what it lies in is lent until it is written. */
export class Lender implements BodySink {
  readonly #client: ExchangeClient;
  #buffer: ReadBuffer | undefined;

  constructor(client: ExchangeClient) {
    this.#client = client;
  }

  /** For what was read into `buffer`. */
  of(buffer: ReadBuffer): this {
    this.#buffer = buffer;
    return this;
  }

  forward(bytes: Buffer, from: number, to: number): void {
    const { socket } = this.#client;
    this.#client.onActivity();
    // Trailers that were held back lie elsewhere, and nobody else uses them; they are copied with the rest.
    if (to - from <= COPIED || this.#buffer === undefined) socket.write(Buffer.from(bytes.subarray(from, to)));
    else socket.write(bytes.subarray(from, to), this.#buffer.lend());
  }
}
