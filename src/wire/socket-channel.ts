import type { IncomingHttpHeaders, ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { reasonOf } from '../core/errors.ts';
import type { UnaryMethod } from './grpc-client.ts';
import { writeMessage } from './grpc-service.ts';
import { grpcStatusName } from './grpc-status.ts';

/** Opens a connection to the server; one of the two is called, once. Who is at the other end is proven by then. */
export type Dial = (on: { readonly ready: (socket: Socket) => void; readonly failed: (reason: string) => void }) => {
  cancel(): void;
};

export interface SocketChannelOptions {
  readonly dial: Dial;
  /** What the server is told it is called. */
  readonly authority: string;
  /** The largest answer taken, in bytes. */
  readonly maxMessageBytes: number;
}

export type CallOutcome<T> = { readonly message: T } | CallFailure;

export interface CallFailure {
  readonly failure: string;
  /** Set where the server did answer, with what cannot be read. */
  readonly answered?: true | undefined;
}

/** A call under way. */
export interface SocketCall {
  /** Gives it up: `done` is not called any more, and the server hears of it. */
  cancel(): void;
}

/** One server, over one connection at a time, which is opened by the first call and again after it was lost. */
export interface SocketChannel {
  /** `done` is called once, never before this returns. There is no deadline: whoever called cancels. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageInitShape<I>,
    done: (outcome: CallOutcome<MessageShape<O>>) => void,
  ): SocketCall;
  /** Calls under way end as they would have; no further one is taken. */
  close(): void;
}

/** Bytes before each message: whether it is compressed, and its length. */
const PREFIX = 5;

/**
 * gRPC over a socket that somebody else opened and judged, so that the rules by which peers are reached and proven
 * stay in one place.
 */
export function createSocketChannel(options: SocketChannelOptions): SocketChannel {
  return new Channel(options);
}

interface Waiting {
  readonly start: (session: ClientHttp2Session) => void;
  readonly fail: (reason: string) => void;
}

class Channel implements SocketChannel {
  readonly #options: SocketChannelOptions;
  readonly #waiting = new Set<Waiting>();
  #session: ClientHttp2Session | undefined;
  #dialling: { cancel(): void } | undefined;
  #closed = false;

  constructor(options: SocketChannelOptions) {
    this.#options = options;
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageInitShape<I>,
    done: (outcome: CallOutcome<MessageShape<O>>) => void,
  ): SocketCall {
    const message = writeMessage(method.input, request);
    const frame = Buffer.allocUnsafe(PREFIX + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    message.copy(frame, PREFIX);
    let stream: ClientHttp2Stream | undefined;
    let over = false;
    const settle = (outcome: CallOutcome<MessageShape<O>>): void => {
      if (over) return;
      over = true;
      this.#waiting.delete(waiting);
      done(outcome);
    };
    const waiting: Waiting = {
      fail: (failure) => settle({ failure }),
      start: (session) => {
        const headers = {
          ':method': 'POST',
          ':path': `/${method.parent.typeName}/${method.name}`,
          ':scheme': 'http',
          ':authority': this.#options.authority,
          'content-type': 'application/grpc',
          te: 'trailers',
        };
        try {
          stream = session.request(headers);
        } catch (error) {
          settle({ failure: reasonOf(error) });
          return;
        }
        readAnswer(stream, this.#options.maxMessageBytes, (answer) => {
          if ('failure' in answer) settle(answer);
          else settle(decode(method.output, answer.bytes));
        });
        stream.end(frame);
      },
    };
    this.#waiting.add(waiting);
    queueMicrotask(() => this.#serve());
    return {
      cancel: () => {
        over = true;
        this.#waiting.delete(waiting);
        stream?.close(constants.NGHTTP2_CANCEL);
      },
    };
  }

  close(): void {
    this.#closed = true;
    this.#dialling?.cancel();
    this.#dialling = undefined;
    this.#session?.close();
    this.#session = undefined;
    this.#fail('the channel is closed');
  }

  #serve(): void {
    if (this.#waiting.size === 0) return;
    if (this.#closed) {
      this.#fail('the channel is closed');
      return;
    }
    const session = this.#session;
    if (session !== undefined && !session.closed && !session.destroyed) {
      for (const waiting of this.#waiting) {
        this.#waiting.delete(waiting);
        waiting.start(session);
      }
      return;
    }
    this.#dialling ??= this.#options.dial({
      ready: (socket) => {
        this.#dialling = undefined;
        this.#use(socket);
        this.#serve();
      },
      failed: (reason) => {
        this.#dialling = undefined;
        this.#fail(reason);
      },
    });
  }

  #use(socket: Socket): void {
    const session = connect('http://unused.invalid', {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    // Its streams are told of it too, and tell their callers.
    session.on('error', forget);
    session.on('goaway', forget);
    session.on('close', forget);
    this.#session = session;
  }

  #fail(reason: string): void {
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      waiting.fail(reason);
    }
  }
}

/** Reads the one message of an answer and its status. */
function readAnswer(
  stream: ClientHttp2Stream,
  maxBytes: number,
  done: (answer: { readonly bytes: Buffer } | CallFailure) => void,
): void {
  const parts: Buffer[] = [];
  let length = 0;
  let status: string | undefined;
  let message = '';
  let problem: string | undefined;
  let tooLong = false;
  const readStatus = (headers: IncomingHttpHeaders): void => {
    const code = headers['grpc-status'];
    if (typeof code !== 'string') return;
    status = code;
    message = String(headers['grpc-message'] ?? '').slice(0, 256);
  };
  stream.on('response', (headers) => {
    if (headers[':status'] !== 200) problem ??= `HTTP status ${headers[':status'] ?? 'none'}`;
    else if (!(headers['content-type'] ?? '').startsWith('application/grpc')) problem ??= 'it is no gRPC server';
    readStatus(headers);
  });
  stream.on('trailers', readStatus);
  stream.on('data', (part: Buffer) => {
    length += part.length;
    if (length <= maxBytes + PREFIX) {
      parts.push(part);
      return;
    }
    tooLong ||= problem === undefined;
    problem ??= `an answer of more than ${maxBytes} bytes`;
    stream.close(constants.NGHTTP2_CANCEL);
  });
  stream.on('error', (error) => {
    problem ??= reasonOf(error);
  });
  stream.on('close', () => {
    if (problem !== undefined) {
      done({ failure: problem, answered: tooLong || undefined });
    } else if (status === undefined) {
      done({ failure: 'the connection ended before the answer' });
    } else if (status !== '0') {
      done({ failure: `${grpcStatusName(Number(status))}${message === '' ? '' : `: ${message}`}` });
    } else {
      const bytes = Buffer.concat(parts, length);
      const whole = bytes.length >= PREFIX && bytes[0] === 0 && bytes.readUInt32BE(1) === bytes.length - PREFIX;
      const failure = 'the answer is not one uncompressed message';
      done(whole ? { bytes: bytes.subarray(PREFIX) } : { failure, answered: true });
    }
  });
}

function decode<O extends DescMessage>(schema: O, bytes: Buffer): CallOutcome<MessageShape<O>> {
  try {
    return { message: fromBinary(schema, bytes) };
  } catch (error) {
    return { failure: `the answer is no ${schema.typeName}: ${reasonOf(error)}`, answered: true };
  }
}
