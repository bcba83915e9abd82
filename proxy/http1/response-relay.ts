import { FULL_RECORD, type UpstreamConnection } from '../upstream/upstream-connection.ts';
import { BodyReader } from './body-reader.ts';
import type { BodySink } from './chunked-reader.ts';
import type { ExchangeClient } from './exchange-client.ts';
import { FieldNameSet } from './field-names.ts';
import { Gather } from './gather.ts';
import { READ } from './head-reader.ts';
import { responseHeadRoom, writeResponseHead, type HeadEdits } from './head-writer.ts';
import { Lender } from './lender.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestRecord } from './request-record.ts';
import type { ResponseHead } from './response-head.ts';
import { ResponseReader } from './response-reader.ts';
import { checkResponse } from './response-rules.ts';

/** An upstream that sends nothing but interim responses must end. */
const MAX_INTERIM = 32;
const NO_EDITS: HeadEdits = Object.freeze({ strip: FieldNameSet.none, add: undefined });

/** What became of the bytes that a response was given. */
export const TAKEN = {
  /** All are passed on, or kept: more is to come. */
  more: 0,
  /** The response has ended. */
  whole: 1,
  /** The protocol was changed: what follows is no HTTP. */
  switched: 2,
  /** They are no response that could be passed on. */
  malformed: 3,
  /** One interim response after the other. */
  endless: 4,
} as const;
export type Taken = (typeof TAKEN)[keyof typeof TAKEN];

/** One response, from the upstream to the client. One object serves all exchanges of a downstream connection. */
export class ResponseRelay {
  readonly #client: ExchangeClient;
  readonly #record: RequestRecord;
  readonly #requestBody: BodyReader;
  readonly #onHead: (reader: ResponseReader) => void;
  readonly #gather = new Gather();
  readonly #lender: Lender;
  readonly #reader = new ResponseReader();
  readonly #body = new BodyReader();
  #request: RequestHead | undefined;
  #connection: UpstreamConnection | undefined;
  #edits: HeadEdits = NO_EDITS;
  #interim = 0;
  /** Whether a head was passed on that was no interim one. */
  started = false;
  /** Whether the client is told that the connection ends behind it. */
  close = false;
  /** Whether more came than the response. */
  poisoned = false;

  /** @param onHead hears of the final head before it is passed on */
  constructor(
    client: ExchangeClient,
    {
      record,
      requestBody,
      onHead,
    }: {
      readonly record: RequestRecord;
      readonly requestBody: BodyReader;
      readonly onHead: (reader: ResponseReader) => void;
    },
  ) {
    this.#client = client;
    this.#record = record;
    this.#requestBody = requestBody;
    this.#onHead = onHead;
    this.#lender = new Lender(client);
  }

  get head(): ResponseHead {
    return this.#reader.head;
  }

  /** Whether anything of an answer has come. */
  get begun(): boolean {
    return this.#reader.begun || this.#interim > 0;
  }

  /** Bytes of its body so far. */
  get received(): number {
    return this.#body.received;
  }

  /** Makes ready for the response to a request. */
  begin(request: RequestHead, edits: HeadEdits | undefined): void {
    this.#request = request;
    this.#edits = edits ?? NO_EDITS;
    this.#interim = 0;
    this.started = false;
    this.close = false;
    this.poisoned = false;
  }

  /** Makes ready for what a connection answers. */
  attempt(connection: UpstreamConnection): void {
    this.#connection = connection;
    this.#reader.reset();
  }

  end(): void {
    this.#request = undefined;
    this.#connection = undefined;
  }

  /** Passes on what came from the upstream. */
  take(bytes: Buffer, length: number): Taken {
    return this.started ? this.#takeBody(bytes, length) : this.#takeHead(bytes, length);
  }

  /** The upstream has closed its direction in order. Whether that ends the response as it should. */
  endsByClose(): boolean {
    return this.started && this.#body.close();
  }

  /** Sends the client what nobody else will overwrite. */
  send(bytes: Buffer): void {
    this.#client.onActivity();
    if (this.#client.socket.write(bytes)) return;
    this.#connection?.socket.pause();
    this.#client.onClientFull();
  }

  #takeHead(bytes: Buffer, length: number): Taken {
    const reader = this.#reader;
    const request = this.#request;
    let index = 0;
    if (request === undefined) return TAKEN.more;
    do {
      const outcome = reader.read(bytes, index, length);
      if (outcome === READ.more) return TAKEN.more;
      const problem = outcome === READ.refused ? reader.problem : checkResponse(reader.head, request);
      if (problem !== undefined) {
        this.#record.upstreamFailure = problem.detail;
        return TAKEN.malformed;
      }
      index = reader.consumed;
      if (reader.head.status === 101 || reader.head.status >= 200) return this.#final(bytes, index, length);
      this.#interim += 1;
      if (this.#interim > MAX_INTERIM) return TAKEN.endless;
      // HTTP/1.0 has no interim responses (RFC 9110 15.2).
      if (request.minor === 1) {
        this.#gatherHead(NO_EDITS, 0);
        this.#sendGathered();
      }
      reader.reset();
    } while (index < length);
    return TAKEN.more;
  }

  #final(bytes: Buffer, index: number, length: number): Taken {
    const { head } = this.#reader;
    this.#record.status = head.status;
    this.#record.detail = 'via_upstream';
    this.#record.responseHeadBytes = head.end - head.start;
    this.#onHead(this.#reader);
    if (head.status === 101) {
      this.started = true;
      this.#record.responseBodyBytes += length - index;
      this.#gatherHead(this.#edits, length - index);
      this.#gather.forward(bytes, index, length);
      this.#sendGathered();
      return TAKEN.switched;
    }
    this.#body.begin(head.framing, head.contentLength);
    // A body whose end the upstream did not wait for may be cut short by it: the connection cannot go on behind it.
    this.close = this.#client.closing || head.framing === 'until-close' || !this.#requestBody.done;
    this.#gatherHead(this.#edits, length - index);
    return this.#relay(bytes, index, length, this.#gather);
  }

  #takeBody(bytes: Buffer, length: number): Taken {
    const connection = this.#connection;
    const own = length < FULL_RECORD ? undefined : connection?.ownBuffer(bytes);
    if (connection === undefined || own === undefined) {
      if (length >= FULL_RECORD) connection?.widen();
      this.#gather.begin(length);
      return this.#relay(bytes, 0, length, this.#gather);
    }
    const taken = this.#relay(bytes, 0, length, this.#lender.of(own));
    const { writableLength, writableNeedDrain } = this.#client.socket;
    // What the kernel took at once is not waited for, though Node calls back only later.
    if (taken === TAKEN.more && (writableNeedDrain || (own.lent && writableLength > 0))) {
      connection.socket.pause();
      if (writableNeedDrain) this.#client.onClientFull();
    }
    return taken;
  }

  /** Passes body on behind what was gathered before. */
  #relay(bytes: Buffer, from: number, length: number, sink: BodySink): Taken {
    const consumed = this.#body.consume(bytes, from, length, sink);
    if (consumed < 0) {
      this.#record.upstreamFailure = this.#body.problem?.detail ?? '';
      return TAKEN.malformed;
    }
    this.started = true;
    this.poisoned = consumed < length;
    this.#sendGathered();
    return this.#body.done ? TAKEN.whole : TAKEN.more;
  }

  #gatherHead(edits: HeadEdits, bodyRoom: number): void {
    const { head } = this.#reader;
    const out = this.#gather.begin(responseHeadRoom(head, edits) + bodyRoom);
    this.#gather.wrote(writeResponseHead(head, edits, this.close, out, 0));
  }

  #sendGathered(): void {
    const gathered = this.#gather.take();
    if (gathered !== undefined) this.send(gathered);
  }
}
