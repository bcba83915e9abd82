import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { readRequestsStrictly } from './strict-reading.ts';

/** What came of one case at an origin: the bytes of each connection that was opened for it. */
export interface Arrived {
  readonly connections: readonly Buffer[];
}

/** An origin on raw sockets: it keeps what it is sent, and answers each request that a strict reader takes for whole. */
export class ReadingOrigin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connections: Buffer[] = [];
  #moved = performance.now();

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#serve(socket));
  }

  static async listen(): Promise<ReadingOrigin> {
    const origin = new ReadingOrigin();
    origin.#server.listen(0, '127.0.0.1');
    await once(origin.#server, 'listening');
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** When something last came, on `performance.now`. */
  get moved(): number {
    return this.#moved;
  }

  /** What came since it was last asked; connections still open are closed. */
  take(): Arrived {
    const arrived = { connections: this.#connections };
    this.#connections = [];
    for (const socket of this.#sockets) socket.destroy();
    return arrived;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const connections = this.#connections;
    const index = connections.push(Buffer.alloc(0)) - 1;
    let answered = 0;
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      this.#moved = performance.now();
      const all = Buffer.concat([connections[index] ?? Buffer.alloc(0), chunk]);
      connections[index] = all;
      const { messages, ambiguous } = readRequestsStrictly(all);
      for (; answered < messages.length; answered += 1) {
        const body = messages[answered]?.startLine.startsWith('HEAD ') === true ? '' : 'ok';
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${body}`);
      }
      if (ambiguous !== undefined) socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
    });
  }
}
