import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerUnaryCall } from '@grpc/grpc-js';
import {
  CheckRequestSchema,
  CheckResponseSchema,
  type CheckRequest,
} from '../../src/wire/gen/envoy/service/auth/v3/external_auth_pb.ts';

/** An external authorization server over HTTP, by another implementation than the one under test. */
export class HttpAuthorizationServer {
  readonly seen: { incoming: IncomingMessage; body: string }[] = [];
  readonly #server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  /** What it answers; 200 unless a test says otherwise. */
  answer: (incoming: IncomingMessage, answer: ServerResponse) => void = (_incoming, answer) => answer.end();

  private constructor() {
    this.#server = createServer((incoming, answer) => {
      let body = '';
      incoming.setEncoding('latin1').on('data', (piece: string) => (body += piece));
      incoming.on('end', () => {
        this.seen.push({ incoming, body });
        this.answer(incoming, answer);
      });
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<HttpAuthorizationServer> {
    const server = new HttpAuthorizationServer();
    await server.listen();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that were accepted and are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Listens, at the port that it had before if it had one. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export type GrpcAnswer = MessageInitShape<typeof CheckResponseSchema>;

/** The same over gRPC, by grpc-js. */
export class GrpcAuthorizationServer {
  readonly seen: CheckRequest[] = [];
  #server = new Server();
  #port = 0;
  /** How many calls were given up by their caller. */
  cancelled = 0;
  answer: (request: CheckRequest) => GrpcAnswer | Promise<GrpcAnswer> = () => ({ status: { code: 0 } });

  static async start(): Promise<GrpcAuthorizationServer> {
    const server = new GrpcAuthorizationServer();
    await server.listen();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    this.#server = new Server();
    this.#server.addService(
      {
        check: {
          path: '/envoy.service.auth.v3.Authorization/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: (request: CheckRequest) => Buffer.from(toBinary(CheckRequestSchema, request)),
          requestDeserialize: (bytes: Buffer) => fromBinary(CheckRequestSchema, bytes),
          responseSerialize: (answer: GrpcAnswer) =>
            Buffer.from(toBinary(CheckResponseSchema, create(CheckResponseSchema, answer))),
          responseDeserialize: (bytes: Buffer) => fromBinary(CheckResponseSchema, bytes),
        },
      },
      {
        check: (
          call: ServerUnaryCall<CheckRequest, GrpcAnswer>,
          done: (error: Error | null, value?: GrpcAnswer) => void,
        ) => {
          this.seen.push(call.request);
          let answered = false;
          // Told of any call whose stream was reset, and after its answer that is no news.
          call.on('cancelled', () => {
            if (!answered) this.cancelled += 1;
          });
          const settle = async (): Promise<void> => {
            const answer = await Promise.resolve(this.answer(call.request)).catch((error: Error) => error);
            answered = true;
            if (answer instanceof Error) done(answer);
            else done(null, answer);
          };
          void settle();
        },
      },
    );
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}
