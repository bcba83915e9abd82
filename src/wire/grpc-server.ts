import type { Duplex } from 'node:stream';
import type { handleBidiStreamingCall, handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, UntypedHandleCall } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { Metadata, Server, ServerCredentials, ServerInterceptingCall } from '@grpc/grpc-js';
import type { Clock, Timer } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { byteStream, GrpcCall } from './grpc-call.ts';
import { COMMON_OPTIONS, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT } from './grpc-runtime.ts';
import type { BoundMethod, BoundService, ByteStream } from './grpc-service.ts';
import { CALL_TRAILER, GRPC_STATUS, REASON_TRAILER } from './grpc-status.ts';
import type { ServerPeer } from './server-peer.ts';

export interface GrpcServerOptions {
  readonly services: readonly BoundService[];
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Logger;
  /**
   * The largest message of any service, in bytes: what one stream can make this process hold before its handler is
   * asked. A service may take less. Default 4 MiB, gRPC's own.
   */
  readonly maxMessageBytes?: number;
  /** Calls open at once on one connection. Default 100, HTTP/2's recommended minimum (RFC 9113 6.5.2). */
  readonly maxCallsPerConnection?: number;
  /** A connection without a call for so long is closed, in milliseconds. Default 30 minutes. */
  readonly maxIdle?: number;
  /**
   * How long a connection may take to its first call, and a call to its whole first message, in milliseconds: what is
   * begun and never finished is held before anybody was asked who it is. The connection is closed. Default 10 s.
   */
  readonly requestTimeout?: number;
}

/** A status message longer than this is cut: it travels in one header. */
const LONGEST_STATUS_MESSAGE = 2_048;

interface AcceptedConnection {
  readonly peer: ServerPeer;
  readonly socket: Duplex;
  /** Closes the connection, unless a call comes first. */
  readonly firstCall: Timer;
}

/**
 * Serves gRPC on connections that somebody else accepted (`accept`): listeners decide who gets this far, and what is
 * known of a peer is known before its first byte of HTTP/2 is read.
 */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #server: Server;
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  readonly #connections = new Map<string, AcceptedConnection>();
  readonly #streams = new Set<() => void>();
  #connectionCount = 0;
  #stopped: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const maxMessageBytes = options.maxMessageBytes ?? 4 * 1024 * 1024;
    this.#server = new Server({
      ...COMMON_OPTIONS,
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_concurrent_streams': options.maxCallsPerConnection ?? 100,
      'grpc.max_connection_idle_ms': options.maxIdle ?? 30 * 60_000,
      'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT,
      interceptors: [this.#requireRequest],
    });
    for (const service of options.services) this.#register(service);
    // Insecure here means: TLS, where there is any, ended before the connection was handed in.
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Serves a connection until either end closes it. */
  accept(socket: Duplex, peer: ServerPeer): void {
    if (this.#stopped !== undefined) {
      socket.destroy();
      return;
    }
    this.#connectionCount += 1;
    // grpc-js tells a handler no more of its connection than `getPeer()`: remote address and port of the socket. Two
    // live connections can share both (the same port towards two of our addresses), and a Unix socket has neither, so
    // the socket is given an address of its own, by which the peer is found again.
    const label = `connection-${this.#connectionCount}`;
    Object.defineProperties(socket, {
      remoteAddress: { value: label },
      remotePort: { value: undefined },
    });
    const firstCall = this.#options.clock.after(this.#requestTimeout, () => socket.destroy());
    this.#connections.set(label, { peer, socket, firstCall });
    socket.once('close', () => {
      firstCall.cancel();
      this.#connections.delete(label);
      if (this.#connections.size === 0) this.#onIdle?.();
    });
    // After a client vanished, writes fail; the HTTP/2 session ends with the socket and needs no telling.
    socket.on('error', () => undefined);
    this.#injector.injectConnection(socket);
  }

  get #requestTimeout(): number {
    return this.#options.requestTimeout ?? 10_000;
  }

  /**
   * grpc-js calls a handler when the message is there, and waits for it as long as the client likes. A status alone
   * would not free what was received: grpc-js keeps it with the stream, which the client can leave half open.
   */
  readonly #requireRequest: ServerInterceptor = ({ requestStream }, call) => {
    const connection = this.#connections.get(call.getPeer());
    connection?.firstCall.cancel();
    const late = this.#options.clock.after(this.#requestTimeout, () => connection?.socket.destroy());
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage: (message, pass) => {
            if (requestStream) late.cancel();
            pass(message);
          },
          onReceiveHalfClose: (pass) => {
            late.cancel();
            pass();
          },
          onCancel: () => late.cancel(),
        }),
    });
  };

  /**
   * Ends streams with `server_stopping`, lets unary calls finish, and after `grace` milliseconds closes what is left.
   * Resolves when no connection is open.
   */
  stop(grace: number): Promise<void> {
    this.#stopped ??= this.#stop(grace);
    return this.#stopped;
  }

  async #stop(grace: number): Promise<void> {
    for (const end of this.#streams) end();
    // Its callback is no news of the calls under way: Node's own close of the HTTP/2 server marks the sessions as
    // closed, which grpc-js takes for done (1.14.7 on Node 26). The sockets tell.
    this.#server.tryShutdown(() => undefined);
    if (this.#connections.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onIdle = resolve;
      const timer = this.#options.clock.after(grace, () => {
        for (const { socket } of this.#connections.values()) socket.destroy();
      });
      await promise;
      timer.cancel();
    }
    this.#server.forceShutdown();
  }

  #register(service: BoundService): void {
    const add = (path: string, type: string, handler: UntypedHandleCall): boolean =>
      this.#server.register(path, handler, unchanged, unchanged, type);
    for (const method of service.methods) {
      switch (method.kind) {
        case 'unary': {
          const handler: handleUnaryCall<Buffer, Buffer> = (raw, answer) => {
            this.#runUnary(raw, method).then(
              (response) => answer(null, response),
              (error: unknown) => answer(this.#statusOf(error, service, method)),
            );
          };
          add(method.path, 'unary', handler);
          break;
        }
        case 'server_streaming': {
          const handler: handleServerStreamingCall<Buffer, Buffer> = (raw) =>
            this.#runStream(raw, service, method, (stream) => method.run(raw.request, stream));
          add(method.path, 'serverStream', handler);
          break;
        }
        case 'bidi_streaming': {
          const handler: handleBidiStreamingCall<Buffer, Buffer> = (raw) =>
            this.#runStream(raw, service, method, (stream) => method.run(stream));
          add(method.path, 'bidi', handler);
          break;
        }
      }
    }
  }

  async #runUnary(
    raw: ServerUnaryCall<Buffer, Buffer>,
    method: Extract<BoundMethod, { kind: 'unary' }>,
  ): Promise<Buffer> {
    const peer = this.#peerOf(raw);
    if (peer === undefined) throw lostPeer();
    const call = new GrpcCall(raw, method.path, peer);
    try {
      return await method.run(raw.request, call);
    } finally {
      call.finish();
    }
  }

  #runStream(
    raw: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
    service: BoundService,
    method: BoundMethod,
    run: (stream: ByteStream) => Promise<void>,
  ): void {
    const fail = (error: unknown): void => void raw.emit('error', this.#statusOf(error, service, method));
    const peer = this.#peerOf(raw);
    if (peer === undefined) return fail(lostPeer());
    const call = new GrpcCall(raw, method.path, peer);
    const end = (): void => {
      if (call.isOver) return;
      // The status goes first: the handler's own end, which the abort causes, then comes too late to say "OK".
      fail(new SealwrightError('server_stopping'));
      call.cancel();
    };
    this.#streams.add(end);
    call.onOver(() => this.#streams.delete(end));
    const serve = async (): Promise<void> => {
      try {
        await run(byteStream(call, raw));
        if (!call.isOver) raw.end();
      } catch (error) {
        if (!call.isOver) fail(error);
      }
      call.finish();
    };
    // It cannot reject: `fail` and `end` only queue what goes out.
    void serve();
    if (this.#stopped !== undefined) end();
  }

  #peerOf(call: { getPeer(): string }): ServerPeer | undefined {
    return this.#connections.get(call.getPeer())?.peer;
  }

  #statusOf(error: unknown, service: BoundService, method: BoundMethod): StatusError {
    if (error instanceof SealwrightError) {
      const metadata = new Metadata();
      metadata.set(REASON_TRAILER, error.code);
      const { call } = error.fields;
      if (typeof call === 'string') metadata.set(CALL_TRAILER, call);
      const message = service.statusMessage(error) ?? error.message;
      if (error.facts.grpc === 'INTERNAL') this.#logFailure(method, error);
      return statusError(GRPC_STATUS[error.facts.grpc], message, metadata);
    }
    // A bug of ours: its text was written for nobody outside and may hold anything.
    this.#logFailure(method, error);
    return statusError(GRPC_STATUS.INTERNAL, 'internal error', new Metadata());
  }

  #logFailure(method: BoundMethod, error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#options.logger.error('a call failed inside', { method: method.path, reason: reasonOf(error), stack });
  }
}

/** Messages stay bytes here; a service's own types begin where its handlers do. */
const unchanged = (bytes: Buffer): Buffer => bytes;

/** The connection closed between a call's arrival and its start: nobody will read this. */
function lostPeer(): SealwrightError {
  return new SealwrightError('call_cancelled');
}

type StatusError = Error & { code: number; details: string; metadata: Metadata };

function statusError(code: number, message: string, metadata: Metadata): StatusError {
  // grpc-js encodes the message with encodeURI, which throws on half of a surrogate pair.
  const details = message.slice(0, LONGEST_STATUS_MESSAGE).toWellFormed();
  return Object.assign(new Error(details), { code, details, metadata });
}
