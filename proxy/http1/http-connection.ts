import type { Socket } from 'node:net';
import { reasonOf } from '../../src/core/errors.ts';
import { cancelDeadline, DeadlineEntry, type Expiring } from '../tcp/deadlines.ts';
import { breakSocket } from '../tcp/relay.ts';
import { ANSWERS, answerFor, renderAnswer, type PreparedAnswer } from './answers.ts';
import { BodyPeek } from './body-peek.ts';
import { BodyReader } from './body-reader.ts';
import type { BodySink } from './chunked-reader.ts';
import { isIn, TARGET } from './characters.ts';
import type { Answer, Decision, Forward, HttpHandler } from './decision.ts';
import { Exchange, TIMEOUT } from './exchange.ts';
import type { ExchangeClient } from './exchange-client.ts';
import { ClientStall } from './client-stall.ts';
import { FieldNameSet } from './field-names.ts';
import { READ } from './head-reader.ts';
import type { HttpEngine } from './http-engine.ts';
import { PROBLEM, type Problem } from './problems.ts';
import { createRequestRecord, resetRequestRecord, type RequestRecord } from './request-record.ts';
import { RequestReader } from './request-reader.ts';
import { checkRequest } from './request-rules.ts';
import type { ResponseReader } from './response-reader.ts';
import type { PeekedBody, PeekExtent, WaitingClient } from './waiting-client.ts';

/** What happens with the bytes that the client sends. */
const PHASE = {
  /** They are a head, or there are none. */
  reading: 0,
  /** They wait: the decision, or the upstream, is still to come. */
  waiting: 1,
  /** They are the body of the request under way, and what is behind it waits. */
  exchanging: 2,
  /** They are passed on unread, since the protocol was changed. */
  tunnelling: 3,
  /** They are thrown away until the client closes. */
  lingering: 4,
  closed: 5,
} as const;

/** Bytes that a client may still send behind the last answer before it is cut off. */
const MAX_LINGER_BYTES = 1024 * 1024;

/**
 * Bytes of further requests that are read while one is under way. Reading on is what shows that the client has left;
 * past this it is not read, and what it pipelines waits in its own socket.
 */
const MAX_HELD = 16 * 1024;

const DISCARD: BodySink = { forward: () => {} };

/** RFC 9110 15.2.1. */
const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
const EXPECT = new FieldNameSet(['expect']);

export interface HttpConnectionOptions {
  readonly socket: Socket;
  readonly engine: HttpEngine;
  readonly handler: HttpHandler;
  /** Called once, when the socket has closed. */
  readonly onClose?: (connection: HttpConnection) => void;
}

/**
 * Serves HTTP/1 on one socket: one request after the other, each judged by the handler and then answered or exchanged
 * with an upstream. What is pipelined waits for its turn.
 */
export class HttpConnection implements ExchangeClient, Expiring, WaitingClient {
  readonly socket: Socket;
  readonly deadline: DeadlineEntry = new DeadlineEntry(this);
  readonly #engine: HttpEngine;
  readonly #handler: HttpHandler;
  readonly #onClose: ((connection: HttpConnection) => void) | undefined;
  readonly #reader = new RequestReader();
  readonly #body = new BodyReader();
  readonly #record: RequestRecord = createRequestRecord();
  readonly #exchange: Exchange;
  #phase: number = PHASE.reading;
  #input: Buffer | undefined;
  #inputFrom = 0;
  #running = false;
  #ended = false;
  #draining = false;
  #lingered = 0;
  /** The decision that is waited for. */
  #pending: Decision | undefined;
  #stall: ClientStall | undefined;
  /** Who wants to know that the client of the request under way has left before the decision. */
  #onGone: (() => void)[] | undefined;
  #peek: BodyPeek | undefined;

  /** The socket must be one that stays half-open (`allowHalfOpen`), so that a client may close its direction first. */
  constructor({ socket, engine, handler, onClose }: HttpConnectionOptions) {
    this.socket = socket;
    this.#engine = engine;
    this.#handler = handler;
    this.#onClose = onClose;
    this.#exchange = new Exchange(this, this.#record, this.#body);
    socket.setNoDelay(true);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    // Its reason does not change what is done: `close` follows.
    socket.on('error', () => {});
    socket.once('close', this.#onSocketClosed);
    engine.headDeadlines.add(this.deadline);
    // Whoever looked at the first bytes has put them back and paused.
    if (socket.isPaused()) socket.resume();
  }

  /** Whether bytes pass unread, or will as soon as the upstream accepts the change of protocol that it was asked for. */
  get tunnelling(): boolean {
    return this.#phase === PHASE.tunnelling || (this.busy && this.#reader.head.upgrade !== undefined);
  }

  /** Whether a request is under way. */
  get busy(): boolean {
    return this.#phase !== PHASE.reading && this.#phase !== PHASE.closed && this.#phase !== PHASE.lingering;
  }

  get closing(): boolean {
    return this.#draining || !this.#reader.head.keepAlive;
  }

  get inputLength(): number {
    return this.#input === undefined ? 0 : this.#input.length - this.#inputFrom;
  }

  onGone(listener: () => void): void {
    (this.#onGone ??= []).push(listener);
  }

  peekBody(extent: PeekExtent): Promise<PeekedBody> {
    const { head } = this.#reader;
    return new Promise((resolve) => {
      // Whoever read ahead before has given up: what it had read is read again.
      const given = this.#peek?.take();
      this.#peek = undefined;
      if (given !== undefined && given.length > 0) this.#hold(given, 0);
      const peek = new BodyPeek(head, extent, resolve);
      if (this.#phase !== PHASE.waiting || peek.settled) return;
      this.#peek = peek;
      const input = this.#input;
      if (input !== undefined) {
        this.#input = undefined;
        this.#peekAt(peek, this.#inputFrom === 0 ? input : input.subarray(this.#inputFrom));
        if (this.#peek === undefined) return;
      } else if (head.expectsContinue) {
        // Nobody else can ask for the body in time, and the application need not ask again.
        head.expectsContinue = false;
        head.drop(EXPECT);
        this.socket.write(CONTINUE);
      }
      if (this.#ended) this.#clientGone();
      else if (this.socket.isPaused()) this.socket.resume();
    });
  }

  /** No further request after the one under way; an idle connection closes now. */
  drain(): void {
    this.#draining = true;
    if (this.#phase === PHASE.reading && !this.#reader.begun && this.#input === undefined) this.#linger();
  }

  /** Closes at once: the peer is not allowed any more, or the process ends. */
  abort(flags: string, detail: string): void {
    if (this.busy) {
      this.#exchange.abandon(detail);
      this.#tellGone();
      this.#complete(flags, detail);
    }
    this.#cut();
  }

  pause(): void {
    this.socket.pause();
    this.#watchClient();
  }

  resume(): void {
    if (this.#input === undefined && !this.#exchange.full && this.socket.isPaused()) this.socket.resume();
    this.#watchClient();
  }

  onDeadline(): void {
    if (this.#phase === PHASE.lingering || this.#phase === PHASE.tunnelling) {
      this.socket.destroy();
    } else if (this.#pending !== undefined && !this.#ended) {
      this.#tellGone();
      this.#answer(ANSWERS.internal, { flags: 'UT', detail: 'decision_timeout', close: true });
    } else if (this.#phase !== PHASE.reading && this.#ended) {
      this.#clientGone();
    } else if (this.#phase !== PHASE.reading) {
      const started = this.#exchange.responseStarted;
      this.#exchange.abandon(TIMEOUT);
      if (started) this.onExchangeTruncated('UT', 'response_timeout');
      else this.onExchangeFailed(ANSWERS.upstreamTimeout, 'UT', 'response_timeout');
    } else if (this.#reader.begun) {
      resetRequestRecord(this.#record, this.#engine.clock.elapsed());
      this.#answer(ANSWERS.timeout, { flags: '-', detail: 'request_header_timeout', close: true });
    } else {
      this.#linger();
    }
  }

  onUpstreamReady(): void {
    this.#phase = PHASE.exchanging;
    const input = this.#input;
    if (this.#body.done) return;
    this.#input = undefined;
    if (input !== undefined) this.#relayBody(input, this.#inputFrom);
    if (this.#ended && !this.#body.done && this.#phase === PHASE.exchanging) this.#clientGone();
    this.resume();
  }

  onClientFull(): void {
    this.#watchClient();
  }

  onActivity(): void {
    if (this.#stall?.armed === true) this.#stall.arm();
    const { streamDeadlines, halfClosedDeadlines, idleDeadlines } = this.#engine;
    const { queue } = this.deadline;
    if (queue === undefined) return;
    if (queue === streamDeadlines || queue === halfClosedDeadlines || queue === idleDeadlines) queue.add(this.deadline);
  }

  onResponseHead(reader: ResponseReader): void {
    this.#handler.onResponse?.(reader.head, this.#record);
  }

  onExchangeDone(close: boolean): void {
    this.#complete(this.#record.flags, this.#record.detail);
    if (close) this.#linger();
    else this.#next();
  }

  onExchangeFailed(answer: PreparedAnswer, flags: string, detail: string): void {
    this.#answer(answer, { flags, detail, close: false });
  }

  onExchangeTruncated(flags: string, detail: string): void {
    this.#complete(flags, detail);
    this.#cut();
  }

  onTunnel(): void {
    this.#phase = PHASE.tunnelling;
    cancelDeadline(this.deadline);
    const input = this.#input;
    this.#input = undefined;
    if (input !== undefined) this.#exchange.tunnel(input, this.#inputFrom);
    if (this.#ended) {
      this.#exchange.endTunnel();
      this.#engine.idleDeadlines.add(this.deadline);
    }
    this.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    switch (this.#phase) {
      case PHASE.reading:
        this.#take(chunk);
        this.#run();
        break;
      case PHASE.exchanging:
        if (this.#body.done) this.#hold(chunk, 0);
        else this.#relayBody(chunk, 0);
        break;
      case PHASE.waiting:
        if (this.#peek === undefined) this.#hold(chunk, 0);
        else this.#peekAt(this.#peek, chunk);
        break;
      case PHASE.tunnelling:
        this.#exchange.tunnel(chunk, 0);
        break;
      case PHASE.lingering:
        this.#lingered += chunk.length;
        if (this.#lingered > MAX_LINGER_BYTES) this.socket.destroy();
        break;
      default:
        break;
    }
  };

  /** Reads requests for as long as there are whole ones and their answers are taken. */
  #run(): void {
    // An exchange that ends at once comes back here: the loop that called goes on, and no stack grows.
    if (this.#running) return;
    this.#running = true;
    while (this.#phase === PHASE.reading && this.#input !== undefined && !this.socket.writableNeedDrain) {
      const input = this.#input;
      const outcome = this.#reader.read(input, this.#inputFrom, input.length);
      if (outcome === READ.more) {
        this.#input = undefined;
        // The first byte of a head starts its time; further bytes do not prolong it.
        if (this.deadline.queue !== this.#engine.headDeadlines) this.#engine.headDeadlines.add(this.deadline);
      } else if (outcome === READ.refused) {
        resetRequestRecord(this.#record, this.#engine.clock.elapsed());
        this.#refuse(this.#reader.problem);
      } else {
        this.#inputFrom = this.#reader.consumed;
        if (this.#inputFrom === input.length) this.#input = undefined;
        this.#request();
      }
    }
    this.#running = false;
    if (this.#phase !== PHASE.reading) return;
    if (this.#input !== undefined) {
      this.socket.pause();
    } else if (this.#ended) {
      // The client has said all it will: what it began and did not finish is no request.
      this.#linger();
    } else {
      this.resume();
    }
  }

  #request(): void {
    cancelDeadline(this.deadline);
    const { head } = this.#reader;
    const record = this.#record;
    resetRequestRecord(record, this.#engine.clock.elapsed());
    record.requestHeadBytes = head.end - head.start;
    const problem = checkRequest(head, this.#engine.limits.upgrades);
    this.#body.begin(head.framing, head.contentLength, head);
    if (problem !== undefined) {
      this.#refuse(problem);
      return;
    }
    record.request = head;
    this.#onGone = undefined;
    this.#peek = undefined;
    this.#phase = PHASE.waiting;
    let decision: Decision;
    try {
      decision = this.#handler.onRequest(head, this);
    } catch (error) {
      this.#failOpenNever(error);
      return;
    }
    if (decision.kind === 'pending') {
      this.#pending = decision;
      // A handler may have asked for the body, and the client have sent a wrong one, before it returned.
      if (this.#phase !== PHASE.waiting) this.#pending = undefined;
      else (this.#ended ? this.#engine.halfClosedDeadlines : this.#engine.decisionDeadlines).add(this.deadline);
      decision.decision.then(
        (decided) => this.#pending === decision && this.#carryOut(decided),
        (error: unknown) => this.#pending === decision && this.#failOpenNever(error),
      );
      return;
    }
    this.#carryOut(decision);
  }

  #carryOut(decision: Forward | Answer): void {
    this.#onGone = undefined;
    this.#pending = undefined;
    const peek = this.#peek;
    this.#peek = undefined;
    if (peek !== undefined) this.#hold(peek.take(), 0);
    if (decision.kind === 'answer') {
      this.#answer(decision.answer, decision);
      return;
    }
    if (decision.path !== undefined && !isTarget(decision.path)) {
      this.#failOpenNever(new TypeError('the path to pass on is no request target'));
      return;
    }
    if (decision.timeout !== undefined) this.#engine.deadlines.queue(decision.timeout).add(this.deadline);
    else (this.#ended ? this.#engine.halfClosedDeadlines : this.#engine.streamDeadlines).add(this.deadline);
    this.#exchange.start(this.#reader.head, decision);
  }

  /** A handler that fails has not said yes (invariant 5). */
  #failOpenNever(error: unknown): void {
    this.#engine.logger.error('a request could not be judged', { reason: reasonOf(error) });
    this.#answer(ANSWERS.internal, { flags: '-', detail: 'handler_failed', close: true });
  }

  #refuse(problem: Problem): void {
    this.#answer(answerFor(problem), { flags: 'DPE', detail: problem.detail, close: true });
  }

  #answer(answer: PreparedAnswer, { flags, detail, close, add }: Omit<Answer, 'kind' | 'answer'>): void {
    // A body that came with its head is read to its end; for a longer one the connection is not worth keeping.
    if (!close && !this.#body.done && this.#input !== undefined) {
      const end = this.#body.consume(this.#input, this.#inputFrom, this.#input.length, DISCARD);
      this.#inputFrom = end;
      if (end === this.#input.length) this.#input = undefined;
    }
    const last = close || this.closing || !this.#body.done;
    const method = this.#record.request?.method ?? '';
    this.socket.write(renderAnswer(answer, { method, close: last, date: this.#engine.date(), add }));
    this.#record.status = answer.status;
    this.#complete(flags, detail);
    if (last) this.#linger();
    else this.#next();
  }

  #relayBody(bytes: Buffer, from: number): void {
    const end = this.#exchange.relay(bytes, from);
    if (end < 0) {
      const problem = this.#body.problem;
      const started = this.#exchange.responseStarted;
      this.#exchange.abandon('malformed request body');
      const detail = problem?.detail ?? 'http1.codec_error';
      if (started || problem === undefined) this.onExchangeTruncated('DPE', detail);
      else this.#refuse(problem);
      return;
    }
    this.#engine.garbage.note(bytes.length);
    if (end < bytes.length) this.#hold(bytes, end);
    else this.onActivity();
    if (this.#stall !== undefined) this.#watchClient();
  }

  #take(chunk: Buffer): void {
    this.#input = this.#input === undefined ? chunk : Buffer.concat([this.#input.subarray(this.#inputFrom), chunk]);
    this.#inputFrom = 0;
  }

  /** Keeps bytes whose time has not come, and reads no more when they are many. */
  #hold(chunk: Buffer, from: number): void {
    if (this.#input === undefined) {
      this.#input = chunk;
      this.#inputFrom = from;
    } else {
      this.#take(from === 0 ? chunk : chunk.subarray(from));
    }
    if (this.inputLength > MAX_HELD) this.socket.pause();
  }

  /** Shows what comes to whoever reads the body ahead, and takes it back when that was enough. */
  #peekAt(peek: BodyPeek, bytes: Buffer): void {
    if (!peek.read(bytes)) {
      this.#tellGone();
      this.#refuse(peek.problem ?? PROBLEM.chunkSize);
    } else if (peek.settled) {
      this.#peek = undefined;
      this.#hold(peek.take(), 0);
    }
  }

  #tellGone(): void {
    const listeners = this.#onGone;
    this.#onGone = undefined;
    this.#peek = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  /** Starts or ends the time that the client has for what it owes; it owes nothing while we do not read from it. */
  #watchClient(): void {
    const exchanging = this.#phase === PHASE.exchanging;
    const owesBody = exchanging && !this.#body.done && !this.socket.isPaused();
    if (owesBody || (exchanging && this.socket.writableNeedDrain)) {
      this.#stall ??= new ClientStall(this.#engine.clientDeadlines, this.#onClientStalled);
      if (!this.#stall.armed) this.#stall.arm();
    } else {
      this.#stall?.cancel();
    }
  }

  readonly #onClientStalled = (): void => {
    const started = this.#exchange.responseStarted;
    this.#exchange.abandon('the client has stalled');
    if (started) this.onExchangeTruncated('SI', 'downstream_stream_idle_timeout');
    else this.#answer(ANSWERS.timeout, { flags: 'SI', detail: 'request_body_timeout', close: true });
  };

  #complete(flags: string, detail: string): void {
    this.#pending = undefined;
    this.#stall?.cancel();
    const record = this.#record;
    record.flags = flags;
    record.detail = detail;
    record.duration = this.#engine.clock.elapsed() - record.startedAt;
    if (this.#phase !== PHASE.tunnelling) record.requestBodyBytes = this.#body.received;
    this.#handler.onComplete(record);
  }

  #next(): void {
    this.#phase = PHASE.reading;
    this.#reader.reset();
    if (this.#draining && this.#input === undefined) {
      this.#linger();
      return;
    }
    this.#engine.idleDeadlines.add(this.deadline);
    this.#run();
  }

  /**
   * Closes behind what was written. The client's bytes are still read for a while: closing a socket that holds unread
   * bytes resets it, and the client would lose the answer (RFC 9112 9.6).
   */
  #linger(): void {
    if (this.#phase === PHASE.closed) return;
    this.#phase = PHASE.lingering;
    this.#input = undefined;
    this.#reader.reset();
    this.socket.end();
    this.#engine.lingerDeadlines.add(this.deadline);
    this.resume();
  }

  /** Breaks the connection, so that the client cannot take what it got for the whole: no clean end. */
  #cut(): void {
    this.#phase = PHASE.closed;
    // An orderly end would end a body that lasts until the close.
    breakSocket(this.socket);
  }

  readonly #onDrain = (): void => {
    if (this.#phase === PHASE.reading) this.#run();
    else this.#exchange.clientDrained();
    if (this.#stall !== undefined) this.#watchClient();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    switch (this.#phase) {
      case PHASE.reading:
        if (this.#input === undefined) this.#linger();
        break;
      case PHASE.tunnelling:
        this.#exchange.endTunnel();
        this.#engine.idleDeadlines.add(this.deadline);
        break;
      case PHASE.waiting:
      case PHASE.exchanging:
        // A body that is read ahead and breaks off here cannot become whole.
        if (this.#peek !== undefined || (!this.#body.done && this.#input === undefined)) this.#clientGone();
        else if (this.deadline.queue === undefined || this.#pending !== undefined) {
          this.#engine.halfClosedDeadlines.add(this.deadline);
        }
        break;
      default:
        this.socket.destroySoon();
        break;
    }
  };

  readonly #onSocketClosed = (): void => {
    cancelDeadline(this.deadline);
    if (this.#phase === PHASE.tunnelling && this.#ended) {
      this.#exchange.abandon('');
      this.onExchangeDone(true);
    } else if (this.busy) {
      this.#clientGone();
    }
    this.#phase = PHASE.closed;
    this.#input = undefined;
    this.#reader.reset();
    this.#onClose?.(this);
  };

  /** The client left an exchange before its end. */
  #clientGone(): void {
    this.#exchange.abandon('the client has gone');
    this.#tellGone();
    this.#complete('DC', 'downstream_remote_disconnect');
    this.#cut();
  }
}

function isTarget(path: string): boolean {
  for (let index = 0; index < path.length; index += 1) if (!isIn(path.charCodeAt(index), TARGET)) return false;
  return path.length > 0;
}
