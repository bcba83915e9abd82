import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Bytes a peer received, and the moments at which there are enough of them. */
export class Received {
  #pieces: Buffer[] = [];
  #length = 0;
  #watchers: (() => void)[] = [];
  ended = false;
  closed = false;
  error: string | undefined;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#pieces.push(Buffer.from(chunk));
      this.#length += chunk.length;
      this.#changed();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#changed();
    });
    socket.on('error', (error: Error & { code?: string }) => {
      this.error = error.code ?? error.message;
    });
    socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): Buffer {
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0] ?? Buffer.alloc(0);
  }

  /** One character a byte. */
  get text(): string {
    return this.bytes.toString('latin1');
  }

  /** Resolves once `done` says so; it is asked again after everything that happens. */
  async until(done: (received: this) => boolean): Promise<this> {
    while (!done(this)) {
      if (this.closed)
        throw new Error(`closed (${this.error ?? 'in order'}) after: ${JSON.stringify(this.text.slice(0, 2000))}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
    return this;
  }

  /** Resolves when the text is there. */
  async untilText(text: string): Promise<this> {
    return this.until(() => this.bytes.includes(text, 0, 'latin1'));
  }

  /** Resolves when the other side has closed, in whatever way. */
  async untilClosed(): Promise<this> {
    return this.until(() => this.closed);
  }

  #changed(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watcher of watchers) watcher();
  }
}

/** One connection that a raw peer accepted. */
export interface RawConnection {
  readonly socket: Socket;
  readonly received: Received;
}

/** A server that records what it is sent, byte for byte, and says only what a test tells it to. */
export class RawServer {
  readonly #server: Server;
  readonly connections: RawConnection[] = [];
  /** Called for each connection; a test may set it. */
  onConnection: (connection: RawConnection) => void = () => {};
  #watchers: (() => void)[] = [];

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection = { socket, received: new Received(socket) };
      this.connections.push(connection);
      this.onConnection(connection);
      for (const watcher of this.#watchers.splice(0)) watcher();
    });
  }

  static async listen(): Promise<RawServer> {
    const server = new RawServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The connection with this number, counted from 0, once it is there. */
  async connection(index: number): Promise<RawConnection> {
    for (;;) {
      const connection = this.connections[index];
      if (connection !== undefined) return connection;
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  async close(): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A client that sends exactly what a test says. */
export class RawClient {
  readonly socket: Socket;
  readonly received: Received;

  constructor(socket: Socket) {
    this.socket = socket;
    this.received = new Received(socket);
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Closes without waiting. */
  close(): void {
    this.socket.destroy();
  }
}
