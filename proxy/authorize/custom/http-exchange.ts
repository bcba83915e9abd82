import { reasonOf } from '../../../src/core/errors.ts';
import { Attempts } from '../../http1/attempts.ts';
import { BodyReader } from '../../http1/body-reader.ts';
import type { BodySink } from '../../http1/chunked-reader.ts';
import { READ } from '../../http1/head-reader.ts';
import type { ResponseHead } from '../../http1/response-head.ts';
import { ResponseReader } from '../../http1/response-reader.ts';
import { checkResponse } from '../../http1/response-rules.ts';
import type { UpstreamFailure, UpstreamPool, UpstreamWaiter } from '../../upstream/pool.ts';
import type { Retries } from '../../upstream/retries.ts';
import type { UpstreamConnection, UpstreamUser } from '../../upstream/upstream-connection.ts';

/**
 * A whole answer, whose head is valid during the call that brings it; or why there is none, with the status that had come
 * by then, 0 if none had.
 */
export type HttpOutcome =
  { readonly head: ResponseHead; readonly body: Buffer } | { readonly failure: string; readonly status: number };

export interface HttpExchangeOptions {
  readonly method: string;
  /** Head and body, as they are sent. */
  readonly bytes: Buffer;
  readonly pool: UpstreamPool;
  /** Second tries, where nobody was reached. */
  readonly retries: Retries | undefined;
  /** The longest body taken, in bytes. */
  readonly maxBytes: number;
  readonly done: (outcome: HttpOutcome) => void;
}

/** Interim responses before the final one. */
const MAX_INTERIM = 8;

/** One request of the sidecar itself, answered whole. Call `start` once. */
export class HttpExchange implements UpstreamWaiter, UpstreamUser, BodySink {
  readonly #options: HttpExchangeOptions;
  readonly #reader = new ResponseReader();
  readonly #body = new BodyReader();
  readonly #parts: Buffer[] = [];
  #length = 0;
  #pool: UpstreamPool;
  #connection: UpstreamConnection | undefined;
  #reused = false;
  #received = false;
  readonly #attempts = new Attempts();
  #inBody = false;
  #interim = 0;
  #over = false;

  constructor(options: HttpExchangeOptions) {
    this.#options = options;
    this.#pool = options.pool;
  }

  start(): void {
    this.#attempts.begin(this.#options.retries);
    this.#pool.acquire(this);
  }

  /** Gives it up; `done` is not called any more. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pool.cancel(this);
    this.#attempts.end(false);
    this.#detach()?.discard('nobody waits for the answer');
  }

  onUpstream(connection: UpstreamConnection, reused: boolean): void {
    if (this.#over) {
      connection.pool.release(connection, undefined);
      return;
    }
    this.#connection = connection;
    this.#reused = reused;
    connection.user = this;
    connection.socket.write(this.#options.bytes);
  }

  onUpstreamFailure(failure: UpstreamFailure, reason: string): void {
    if (this.#over) return;
    if (!this.#attempts.unreached(this.#pool, failure, reason, this.#again)) this.#fail(reason);
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    this.#received = true;
    try {
      if (this.#inBody) this.#readBody(bytes, 0, length);
      else this.#readHead(bytes, length);
    } catch (error) {
      this.#fail(reasonOf(error));
    }
  }

  onUpstreamEnd(): void {
    if (this.#inBody && this.#body.close()) this.#finish(true);
    else this.#broken('the connection ended before the answer');
  }

  onUpstreamClosed(reason: string): void {
    this.#broken(reason === '' ? 'the connection ended before the answer' : reason);
  }

  onUpstreamReturned(): void {}

  onUpstreamDrain(): void {
    // The request is one write, and nothing waits behind it.
  }

  /** Content of a body with a length. */
  forward(bytes: Buffer, from: number, to: number): void {
    if (this.#reader.head.framing !== 'chunked') this.content(bytes, from, to);
  }

  /** Content of any other: what stands between the sizes of chunks. */
  content(bytes: Buffer, from: number, to: number): void {
    this.#length += to - from;
    if (this.#length <= this.#options.maxBytes) this.#parts.push(Buffer.from(bytes.subarray(from, to)));
  }

  readonly #again = (pool: UpstreamPool): void => {
    this.#pool = pool;
    pool.acquire(this);
  };

  #readHead(bytes: Buffer, length: number): void {
    const reader = this.#reader;
    let index = 0;
    do {
      const outcome = reader.read(bytes, index, length);
      if (outcome === READ.more) return;
      const request = { method: this.#options.method, minor: 1, upgrade: undefined };
      const problem = outcome === READ.refused ? reader.problem : checkResponse(reader.head, request);
      if (problem !== undefined) {
        this.#fail(problem.detail);
        return;
      }
      index = reader.consumed;
      if (reader.head.status >= 200) {
        this.#inBody = true;
        this.#connection?.pool.health?.onStatus(reader.head.status);
        this.#body.begin(reader.head.framing, reader.head.contentLength);
        // What is read after this call comes in the same buffer, which is overwritten by it.
        this.#keepHead();
        this.#readBody(bytes, index, length);
        return;
      }
      this.#interim += 1;
      if (this.#interim > MAX_INTERIM || reader.head.status === 101) {
        this.#fail('an interim response that nobody asked for');
        return;
      }
      reader.reset();
    } while (index < length);
  }

  #keepHead(): void {
    const { head } = this.#reader;
    const { start, end } = head;
    head.bytes = Buffer.from(head.bytes.subarray(start, end));
    head.shift(-start);
    head.end = end - start;
  }

  #readBody(bytes: Buffer, from: number, length: number): void {
    const end = this.#body.consume(bytes, from, length, this);
    if (end < 0) this.#fail(this.#body.problem?.detail ?? 'the body is malformed');
    else if (this.#length > this.#options.maxBytes)
      this.#fail(`an answer of more than ${this.#options.maxBytes} bytes`);
    else if (this.#body.done) this.#finish(end < length);
  }

  #finish(spoilt: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const connection = this.#detach();
    this.#attempts.end(true);
    const { head } = this.#reader;
    if (connection !== undefined) {
      const keep = head.keepAlive && !spoilt && connection.socket.writableLength === 0;
      if (keep) connection.pool.release(connection, head.keepAliveTimeout);
      else connection.discard('not kept');
    }
    this.#options.done({ head, body: Buffer.concat(this.#parts, this.#length) });
  }

  /** A connection that was closed while it was idle; asking twice changes nothing. */
  #broken(reason: string): void {
    this.#detach()?.discard(reason);
    if (!this.#reused || this.#received) this.#pool.health?.onReset();
    const asked = this.#reused && !this.#received;
    if (!asked || !this.#attempts.lost(this.#pool, this.#reused, this.#again)) this.#fail(reason);
  }

  #fail(failure: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#attempts.end(false);
    this.#detach()?.discard(failure);
    this.#options.done({ failure, status: this.#received ? this.#reader.head.status : 0 });
  }

  #detach(): UpstreamConnection | undefined {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) connection.user = undefined;
    return connection;
  }
}
