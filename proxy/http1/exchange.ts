import type { UpstreamFailure, UpstreamPool, UpstreamWaiter } from '../upstream/pool.ts';
import { FULL_RECORD, type UpstreamConnection, type UpstreamUser } from '../upstream/upstream-connection.ts';
import { Attempts } from './attempts.ts';
import { ANSWERS, failureAnswer, type PreparedAnswer } from './answers.ts';
import type { BodyReader } from './body-reader.ts';
import type { BodySink } from './chunked-reader.ts';
import type { Forward } from './decision.ts';
import type { ExchangeClient } from './exchange-client.ts';
import { Gather } from './gather.ts';
import { requestHeadRoom, writeRequestHead } from './head-writer.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestRecord } from './request-record.ts';
import type { ResponseReader } from './response-reader.ts';
import { ResponseRelay, TAKEN } from './response-relay.ts';

/** A body that came with its head is copied behind it up to this size; above, two buffers are written at once. */
const JOINED_BODY = 16 * 1024;
/** Bytes of a request's body that wait to be sent until no more of it is read: several batches of TLS records. */
const MOST_UNSENT = 256 * 1024;
/** Why an exchange is given up for which the upstream took too long. */
export const TIMEOUT = 'timeout';
/** Milliseconds in which the end of an idle connection and a request can cross; who takes longer had the request. */
const CROSSING = 1_000;
/** RFC 9110 9.2.2: a request that may have been carried out is repeated only where that changes nothing. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** One request at one upstream, and its response. One object serves all exchanges of a downstream connection. */
export class Exchange implements UpstreamUser, UpstreamWaiter, BodySink {
  readonly #client: ExchangeClient;
  readonly #record: RequestRecord;
  readonly #requestBody: BodyReader;
  readonly #gather = new Gather();
  readonly #response: ResponseRelay;
  #head: RequestHead | undefined;
  #forward: Forward | undefined;
  #pool: UpstreamPool | undefined;
  #connection: UpstreamConnection | undefined;
  /** Whether the connection has been idle before. */
  #reused = false;
  readonly #attempts = new Attempts();
  #gathering = false;
  tunnelling = false;

  constructor(client: ExchangeClient, record: RequestRecord, requestBody: BodyReader) {
    this.#client = client;
    this.#record = record;
    this.#requestBody = requestBody;
    this.#response = new ResponseRelay(client, { record, requestBody, onHead: this.#onHead });
  }

  /** Whether the upstream takes no more for now. */
  get full(): boolean {
    const socket = this.#connection?.socket;
    return socket?.writableNeedDrain === true && socket.writableLength >= MOST_UNSENT;
  }

  get responseStarted(): boolean {
    return this.#response.started;
  }

  start(head: RequestHead, forward: Forward): void {
    this.#head = head;
    this.#forward = forward;
    this.#response.begin(head, forward.response);
    this.#attempts.begin(forward.retries);
    this.tunnelling = false;
    this.#acquire(forward.upstream);
  }

  /** Passes request body on: where the body ended in `bytes`, or -1 when it is refused. */
  relay(bytes: Buffer, from: number): number {
    return this.#requestBody.consume(bytes, from, bytes.length, this);
  }

  /** Bytes of the request body, or of the tunnel. The client's buffers are its own, so they are not copied. */
  forward(bytes: Buffer, from: number, to: number): void {
    if (this.#gathering) {
      if (to - from <= JOINED_BODY) {
        this.#gather.forward(bytes, from, to);
        return;
      }
      this.#flush();
    }
    const part = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    // More records are on their way, and each by itself would be a write of its own.
    if (to - from === FULL_RECORD) this.#connection?.batch();
    this.#write(part);
  }

  #write(bytes: Buffer): void {
    if (this.#connection?.socket.write(bytes) === false && this.full) this.#client.pause();
  }

  /** All bytes from the client, once the protocol has changed. */
  tunnel(bytes: Buffer, from: number): void {
    this.#record.requestBodyBytes += bytes.length - from;
    this.forward(bytes, from, bytes.length);
  }

  /** The client has closed its direction of the tunnel. */
  endTunnel(): void {
    this.#connection?.socket.end();
  }

  /** The client can take more. */
  clientDrained(): void {
    this.#readOn();
  }

  /** Gives the exchange up; nothing is reported. */
  abandon(reason: string): void {
    this.#pool?.cancel(this);
    if (reason === TIMEOUT) this.#connection?.pool.health?.onTimeout();
    this.#detach()?.discard(reason);
    this.#forget();
  }

  onUpstream(connection: UpstreamConnection, reused: boolean): void {
    const head = this.#head;
    const forward = this.#forward;
    if (head === undefined || forward === undefined) {
      connection.pool.release(connection, undefined);
      return;
    }
    this.#connection = connection;
    connection.user = this;
    this.#reused = reused;
    this.#record.upstream = connection.pool.destination;
    this.#record.attempts += 1;
    this.#response.attempt(connection);
    this.#send(connection, head, forward);
  }

  onUpstreamFailure(failure: UpstreamFailure, reason: string): void {
    this.#record.upstreamFailure = reason;
    const pool = this.#pool;
    if (failure === 'UF') {
      this.#record.attempts += 1;
      this.#record.upstream = pool?.destination ?? '';
    }
    if (pool !== undefined && this.#attempts.unreached(pool, failure, reason, this.#again)) return;
    const { answer, detail } = failureAnswer(failure, reason);
    this.#fail(answer, failure, detail);
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    if (this.tunnelling) {
      this.#record.responseBodyBytes += length;
      this.#response.send(Buffer.from(bytes.subarray(0, length)));
      return;
    }
    switch (this.#response.take(bytes, length)) {
      case TAKEN.whole:
        this.#finish();
        break;
      case TAKEN.switched:
        this.tunnelling = true;
        this.#client.onTunnel();
        break;
      case TAKEN.malformed:
        if (this.responseStarted) this.#truncate('UPE', 'upstream_reset_after_response_started{protocol_error}');
        else this.#fail(ANSWERS.protocolError, 'UPE', 'upstream_reset_before_response_started{protocol_error}');
        break;
      case TAKEN.endless:
        this.#fail(ANSWERS.protocolError, 'UPE', 'upstream_reset_before_response_started{too_many_interim_responses}');
        break;
      case TAKEN.more:
        break;
    }
  }

  onUpstreamEnd(): void {
    if (this.tunnelling) {
      this.#client.socket.end();
    } else if (this.#response.endsByClose()) {
      this.#finish();
    } else {
      this.#broken('connection termination');
    }
  }

  onUpstreamClosed(reason: string): void {
    if (this.tunnelling && reason === '') {
      // Both directions have ended.
      this.#detach();
      this.#forget();
      this.#client.onExchangeDone(true);
      return;
    }
    this.#broken(reason === '' ? 'connection termination' : reason);
  }

  onUpstreamDrain(): void {
    this.#client.resume();
  }

  onUpstreamReturned(): void {
    this.#readOn();
  }

  #readOn(): void {
    const connection = this.#connection;
    if (connection?.socket.isPaused() !== true || connection.lent || this.#client.socket.writableNeedDrain) return;
    connection.socket.resume();
  }

  readonly #again = (pool: UpstreamPool): void => this.#acquire(pool);

  #acquire(pool: UpstreamPool): void {
    this.#pool = pool;
    pool.acquire(this);
  }

  /** Head and what was received of the body, in one write. */
  #send(connection: UpstreamConnection, head: RequestHead, forward: Forward): void {
    const room = requestHeadRoom(head, forward, forward.path) + Math.min(this.#client.inputLength, JOINED_BODY);
    const out = this.#gather.begin(room);
    this.#gather.wrote(writeRequestHead(head, forward, forward.path, out, 0));
    this.#gathering = true;
    this.#client.onUpstreamReady();
    // A body that was refused has given the exchange up.
    if (this.#connection === connection) this.#flush();
  }

  #flush(): void {
    if (!this.#gathering) return;
    this.#gathering = false;
    const gathered = this.#gather.take();
    if (gathered !== undefined) this.#write(gathered);
  }

  readonly #onHead = (reader: ResponseReader): void => {
    this.#connection?.pool.health?.onStatus(reader.head.status);
    this.#attempts.end(true);
    this.#client.onResponseHead(reader);
  };

  #finish(): void {
    const connection = this.#detach();
    const { head, poisoned } = this.#response;
    if (connection !== undefined) {
      // Whoever declined another protocol may still believe to have changed to it: nothing more is said there.
      const whole =
        this.#requestBody.done && connection.socket.writableLength === 0 && this.#head?.upgrade === undefined;
      if (whole && head.keepAlive && !poisoned) connection.pool.release(connection, head.keepAliveTimeout);
      else connection.discard('not kept');
    }
    this.#record.responseBodyBytes = this.#response.received;
    const close = this.#response.close || !this.#requestBody.done;
    this.#forget();
    this.#client.onExchangeDone(close);
  }

  /** The upstream is gone before the response was whole. */
  #broken(reason: string): void {
    const connection = this.#detach();
    connection?.discard(reason);
    this.#record.upstreamFailure = reason;
    const pool = this.#pool;
    // The end of an idle connection that crosses a request is nobody's fault.
    const crossed =
      this.#reused &&
      !this.#response.begun &&
      connection !== undefined &&
      connection.pool.sinceLent(connection) < CROSSING;
    if (!crossed) connection?.pool.health?.onReset();
    if (this.responseStarted) {
      this.#truncate('UC', 'upstream_reset_after_response_started{connection_termination}');
    } else if (pool === undefined || !this.#mayRetry() || !this.#attempts.lost(pool, crossed, this.#again)) {
      this.#fail(ANSWERS.terminated, 'UC', 'upstream_reset_before_response_started{connection_termination}');
    }
  }

  /** Whether the request may be sent again although it may have been carried out. */
  #mayRetry(): boolean {
    const head = this.#head;
    if (head === undefined || this.#response.begun) return false;
    return head.framing === 'none' && head.upgrade === undefined && IDEMPOTENT.has(head.method);
  }

  #fail(answer: PreparedAnswer, flags: string, detail: string): void {
    this.#detach()?.discard(detail);
    const more = this.#attempts.flags;
    this.#forget();
    this.#client.onExchangeFailed(answer, more === '' ? flags : `${flags},${more}`, detail);
  }

  #truncate(flags: string, detail: string): void {
    this.#detach()?.discard(detail);
    if (!this.tunnelling) this.#record.responseBodyBytes = this.#response.received;
    this.#forget();
    this.#client.onExchangeTruncated(flags, detail);
  }

  /** Takes the connection away from this exchange, so that it is not told of its end. */
  #detach(): UpstreamConnection | undefined {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) connection.user = undefined;
    return connection;
  }

  #forget(): void {
    this.#attempts.end(false);
    this.#head = undefined;
    this.#forward = undefined;
    this.#pool = undefined;
    this.#gathering = false;
    this.#response.end();
  }
}
