import type { Socket } from 'node:net';
import { reasonOf } from '../../src/core/errors.ts';
import { cancelDeadline, DeadlineEntry, type Expiring } from '../tcp/deadlines.ts';
import { breakSocket } from '../tcp/break-socket.ts';
import { readChunks } from '../tcp/chunk-reader.ts';
import { ANSWERS, answerFor, renderAnswer, type PreparedAnswer } from './answers.ts';
import { BodyReader } from './body-reader.ts';
import type { BodySink } from './chunked-reader.ts';
import { isIn, TARGET } from './characters.ts';
import type { Answer, Decision, Forward, HttpHandler } from './decision.ts';
import { Exchange, TIMEOUT } from './exchange.ts';
import type { ExchangeClient } from './exchange-client.ts';
import { ClientStall } from './client-stall.ts';
import { READ } from './head-reader.ts';
import { HeldInput } from './held-input.ts';
import type { HttpEngine } from './http-engine.ts';
import { PHASE } from './phase.ts';
import type { Problem } from './problems.ts';
import { createRequestRecord, resetRequestRecord, type RequestRecord } from './request-record.ts';
import { RequestReader } from './request-reader.ts';
import { checkRequest } from './request-rules.ts';
import type { ResponseReader } from './response-reader.ts';
import { UndecidedRequest, type UndecidedOwner } from './undecided-request.ts';

/** Bytes that a client may still send behind the last answer before it is cut off. */
const MAX_LINGER_BYTES = 1024 * 1024;

/**
 * Bytes of further requests that are read while one is under way. Reading on is what shows that the client has left;
 * past this it is not read, and what it pipelines waits in its own socket.
 */
const MAX_HELD = 16 * 1024;

const DISCARD: BodySink = { forward: () => {} };

export interface HttpConnectionOptions {
  readonly socket: Socket;
  readonly engine: HttpEngine;
  readonly handler: HttpHandler;
  /** Called once, when the socket has closed. */
  readonly onClose?: (connection: HttpConnection) => void;
  /** Whether whoever serves it drains already, so that its first request is its last. */
  readonly draining?: boolean;
}

/**
 * Serves HTTP/1 on one socket: one request after the other, each judged by the handler and then answered or exchanged
 * with an upstream. What is pipelined waits for its turn.
 */
export class HttpConnection implements ExchangeClient, Expiring, UndecidedOwner {
  readonly socket: Socket;
  readonly deadline: DeadlineEntry = new DeadlineEntry(this);
  readonly input = new HeldInput();
  readonly #engine: HttpEngine;
  readonly #handler: HttpHandler;
  readonly #onClose: ((connection: HttpConnection) => void) | undefined;
  readonly #reader = new RequestReader();
  readonly #body = new BodyReader();
  readonly #record: RequestRecord = createRequestRecord();
  readonly #exchange: Exchange;
  #phase: number = PHASE.reading;
  #running = false;
  #draining = false;
  #lingered = 0;
  #stall: ClientStall | undefined;
  readonly #undecided: UndecidedRequest;
  ended = false;

  /** The socket must be one that stays half-open (`allowHalfOpen`), so that a client may close its direction first. */
  constructor({ socket, engine, handler, onClose, draining = false }: HttpConnectionOptions) {
    this.socket = socket;
    this.#engine = engine;
    this.#handler = handler;
    this.#onClose = onClose;
    this.#draining = draining;
    this.#exchange = new Exchange(this, this.#record, this.#body);
    this.#undecided = new UndecidedRequest(this, this.#reader.head);
    socket.setNoDelay(true);
    readChunks(socket, this.#onData);
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
    return this.input.length;
  }

  get waiting(): boolean {
    return this.#phase === PHASE.waiting;
  }

  hold(bytes: Buffer): void {
    this.#hold(bytes, 0);
  }

  onBodyBrokenOff(): void {
    this.#clientGone();
  }

  onBodyMalformed(problem: Problem): void {
    this.#refuse(problem);
  }

  /** No further request after the one under way; an idle connection closes now. */
  drain(): void {
    this.#draining = true;
    if (this.#phase === PHASE.reading && !this.#reader.begun && this.input.bytes === undefined) this.#linger();
  }

  /** Closes at once: the peer is not allowed any more, or the process ends. */
  abort(flags: string, detail: string): void {
    if (this.busy) {
      this.#exchange.abandon(detail);
      this.#undecided.tellGone();
      this.#complete(flags, detail);
    }
    this.#cut();
  }

  pause(): void {
    this.socket.pause();
    this.#watchClient();
  }

  resume(): void {
    if (this.input.bytes === undefined && !this.#exchange.full && this.socket.isPaused()) this.socket.resume();
    this.#watchClient();
  }

  onDeadline(): void {
    if (this.#phase === PHASE.lingering || this.#phase === PHASE.tunnelling) {
      this.socket.destroy();
    } else if (this.#undecided.pending && !this.ended) {
      this.#undecided.tellGone();
      this.#answer(ANSWERS.internal, { flags: 'UT', detail: 'decision_timeout', close: true });
    } else if (this.#phase !== PHASE.reading && this.ended) {
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
    if (this.#body.done) return;
    const { bytes, from } = this.input;
    this.input.clear();
    if (bytes !== undefined) this.#relayBody(bytes, from);
    if (this.ended && !this.#body.done && this.#phase === PHASE.exchanging) this.#clientGone();
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
    const input = this.input.takeAll();
    if (input !== undefined) this.#exchange.tunnel(input, 0);
    if (this.ended) {
      this.#exchange.endTunnel();
      this.#engine.idleDeadlines.add(this.deadline);
    }
    this.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    switch (this.#phase) {
      case PHASE.reading:
        this.input.add(chunk, 0);
        this.#run();
        break;
      case PHASE.exchanging:
        if (this.#body.done) this.#hold(chunk, 0);
        else this.#relayBody(chunk, 0);
        break;
      case PHASE.waiting:
        this.#undecided.read(chunk);
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
    while (this.#phase === PHASE.reading && this.input.bytes !== undefined && !this.socket.writableNeedDrain) {
      const { bytes, from } = this.input;
      const outcome = this.#reader.read(bytes, from, bytes.length);
      if (outcome === READ.more) {
        this.input.clear();
        // The first byte of a head starts its time; further bytes do not prolong it.
        if (this.deadline.queue !== this.#engine.headDeadlines) this.#engine.headDeadlines.add(this.deadline);
      } else if (outcome === READ.refused) {
        resetRequestRecord(this.#record, this.#engine.clock.elapsed());
        this.#refuse(this.#reader.problem);
      } else {
        this.input.takeTo(this.#reader.consumed);
        this.#request();
      }
    }
    this.#running = false;
    if (this.#phase !== PHASE.reading) return;
    if (this.input.bytes !== undefined) {
      this.socket.pause();
    } else if (this.ended) {
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
    this.#undecided.begin();
    this.#phase = PHASE.waiting;
    let decision: Decision;
    try {
      decision = this.#handler.onRequest(head, this.#undecided);
    } catch (error) {
      this.#failOpenNever(error);
      return;
    }
    if (decision.kind === 'pending') {
      this.#undecided.wait(decision);
      // A handler may have asked for the body, and the client have sent a wrong one, before it returned.
      if (this.#phase !== PHASE.waiting) this.#undecided.settle();
      else (this.ended ? this.#engine.halfClosedDeadlines : this.#engine.decisionDeadlines).add(this.deadline);
      decision.decision.then(
        (decided) => this.#undecided.awaits(decision) && this.#carryOut(decided),
        (error: unknown) => this.#undecided.awaits(decision) && this.#failOpenNever(error),
      );
      return;
    }
    this.#carryOut(decision);
  }

  #carryOut(decision: Forward | Answer): void {
    this.#undecided.decided();
    if (decision.kind === 'answer') {
      this.#answer(decision.answer, decision);
      return;
    }
    if (decision.path !== undefined && !isTarget(decision.path)) {
      this.#failOpenNever(new TypeError('the path to pass on is no request target'));
      return;
    }
    if (decision.timeout !== undefined) this.#engine.deadlines.queue(decision.timeout).add(this.deadline);
    else (this.ended ? this.#engine.halfClosedDeadlines : this.#engine.streamDeadlines).add(this.deadline);
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
    const { bytes, from } = this.input;
    if (!close && !this.#body.done && bytes !== undefined) {
      this.input.takeTo(this.#body.consume(bytes, from, bytes.length, DISCARD));
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

  /** Keeps bytes whose time has not come, and reads no more when they are many. */
  #hold(chunk: Buffer, from: number): void {
    this.input.add(chunk, from);
    if (this.input.length > MAX_HELD) this.socket.pause();
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
    this.#undecided.settle();
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
    if (this.#draining && this.input.bytes === undefined) {
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
    this.input.clear();
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
    this.ended = true;
    switch (this.#phase) {
      case PHASE.reading:
        if (this.input.bytes === undefined) this.#linger();
        break;
      case PHASE.tunnelling:
        this.#exchange.endTunnel();
        this.#engine.idleDeadlines.add(this.deadline);
        break;
      case PHASE.waiting:
      case PHASE.exchanging:
        // A body that is read ahead and breaks off here cannot become whole.
        if (this.#undecided.peeked || (!this.#body.done && this.input.bytes === undefined)) this.#clientGone();
        else if (this.deadline.queue === undefined || this.#undecided.pending) {
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
    if (this.#phase === PHASE.tunnelling && this.ended) {
      this.#exchange.abandon('');
      this.onExchangeDone(true);
    } else if (this.busy) {
      this.#clientGone();
    }
    this.#phase = PHASE.closed;
    this.input.clear();
    this.#reader.reset();
    this.#onClose?.(this);
  };

  /** The client left an exchange before its end. */
  #clientGone(): void {
    this.#exchange.abandon('the client has gone');
    this.#undecided.tellGone();
    this.#complete('DC', 'downstream_remote_disconnect');
    this.#cut();
  }
}

function isTarget(path: string): boolean {
  for (let index = 0; index < path.length; index += 1) if (!isIn(path.charCodeAt(index), TARGET)) return false;
  return path.length > 0;
}
