import { Buffer } from 'node:buffer';
import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, DescMethod, DescService } from '@bufbuild/protobuf';
import { SealwrightError } from '../core/errors.ts';
import type { ServerCall, ServerStream } from './server-call.ts';

/** What a handler of one method looks like: an async function of the request, or of the stream. */
export type MethodHandler<M> = M extends { methodKind: 'unary'; input: infer I; output: infer O }
  ? I extends DescMessage
    ? O extends DescMessage
      ? (request: MessageShape<I>, call: ServerCall) => Promise<MessageInitShape<O>>
      : never
    : never
  : M extends { methodKind: 'server_streaming'; input: infer I; output: infer O }
    ? I extends DescMessage
      ? O extends DescMessage
        ? (request: MessageShape<I>, stream: ServerStream<never, MessageInitShape<O>>) => Promise<void>
        : never
      : never
    : M extends { methodKind: 'bidi_streaming'; input: infer I; output: infer O }
      ? I extends DescMessage
        ? O extends DescMessage
          ? (stream: ServerStream<MessageShape<I>, MessageInitShape<O>>) => Promise<void>
          : never
        : never
      : never;

/** A service as `src/wire/gen` describes it. */
export interface ServiceDescription extends Omit<DescService, 'method'> {
  readonly method: Record<string, DescMethod>;
}

/** One handler for each method; a method without one answers UNIMPLEMENTED. */
export type ServiceHandlers<S extends ServiceDescription> = {
  readonly [K in keyof S['method']]?: MethodHandler<S['method'][K]>;
};

export interface ServiceOptions {
  /** The largest request taken, in bytes; beyond it the call fails with `request_too_large`. */
  readonly maxRequestBytes?: number;
  /**
   * The sentence that goes out with an error instead of its own message, for a protocol that fixes it, or where a
   * caller that has not proved who it is should learn less than the log. Undefined keeps the message.
   */
  readonly statusMessage?: (error: SealwrightError) => string | undefined;
}

/** A service with its handlers, ready to be given to a server. Messages are bytes here: the types ended above. */
export interface BoundService {
  readonly description: ServiceDescription;
  readonly methods: readonly BoundMethod[];
  readonly statusMessage: (error: SealwrightError) => string | undefined;
}

export type BoundMethod = {
  /** `/package.Service/Method`. */
  readonly path: string;
} & (
  | { readonly kind: 'unary'; readonly run: (request: Buffer, call: ServerCall) => Promise<Buffer> }
  | { readonly kind: 'server_streaming'; readonly run: (request: Buffer, stream: ByteStream) => Promise<void> }
  | { readonly kind: 'bidi_streaming'; readonly run: (stream: ByteStream) => Promise<void> }
);

/** A stream before its messages are read. */
export type ByteStream = ServerStream<Buffer, Buffer>;

/**
 * The largest request of a service that does not say otherwise. A CSR with a 4096-bit RSA key and its metadata is
 * under 8 KiB; a projected token travels in a header and does not count.
 */
const DEFAULT_MAX_REQUEST_BYTES = 64 * 1024;

/**
 * Joins a service's description with its handlers.
 *
 * ```ts
 * implementService(IstioCertificateService, {
 *   createCertificate: async (request, call) => ({ certChain: await issue(request.csr, bearerToken(call)) }),
 * });
 * ```
 */
export function implementService<S extends ServiceDescription>(
  description: S,
  handlers: ServiceHandlers<S>,
  options: ServiceOptions = {},
): BoundService {
  const maxBytes = options.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES;
  const methods = Object.entries(description.method).flatMap(([name, method]) => {
    const handler = handlers[name];
    return handler === undefined ? [] : [bindMethod(method, handler, maxBytes)];
  });
  return { description, methods, statusMessage: options.statusMessage ?? (() => undefined) };
}

// The public types above tie each handler to its method; inside, one shape serves all of them.
type AnyHandler = (first: unknown, second?: unknown) => Promise<unknown>;

function bindMethod(method: DescMethod, handler: AnyHandler, maxBytes: number): BoundMethod {
  const path = `/${method.parent.typeName}/${method.name}`;
  const read = (bytes: Buffer): unknown => readMessage(method.input, bytes, { maxBytes, method: path });
  const write = (init: unknown): Buffer => writeMessage(method.output, init as MessageInitShape<DescMessage>);
  const typed = (stream: ByteStream): ServerStream<unknown, unknown> => ({
    call: stream.call,
    requests: mapEach(stream.requests, read),
    send: (init) => stream.send(write(init)),
    drained: () => stream.drained(),
  });
  switch (method.methodKind) {
    case 'unary':
      return { path, kind: 'unary', run: async (request, call) => write(await handler(read(request), call)) };
    case 'server_streaming':
      return {
        path,
        kind: 'server_streaming',
        run: async (request, stream) => void (await handler(read(request), typed(stream))),
      };
    case 'bidi_streaming':
      return { path, kind: 'bidi_streaming', run: async (stream) => void (await handler(typed(stream))) };
    case 'client_streaming':
    default:
      throw new TypeError(`${path}: client streaming is in none of our protocols and not supported`);
  }
}

async function* mapEach<A, B>(items: AsyncIterable<A>, change: (item: A) => B): AsyncGenerator<B> {
  for await (const item of items) yield change(item);
}

function readMessage(schema: DescMessage, bytes: Buffer, limit: { maxBytes: number; method: string }): unknown {
  const { maxBytes, method } = limit;
  if (bytes.length > maxBytes)
    throw new SealwrightError('request_too_large', { method, bytes: bytes.length, maxBytes });
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new SealwrightError('request_unreadable', { method, expected: schema.typeName }, { cause });
  }
}

/** The bytes of a message, without copying them. */
export function writeMessage(schema: DescMessage, init: MessageInitShape<DescMessage>): Buffer {
  const bytes = toBinary(schema, create(schema, init));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
