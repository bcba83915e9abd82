import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What stands between a client and a server, and fails as networks do. */
export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #silent = new Set<Socket>();
  #refuses = false;

  private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
    this.#server = server;
    server.on('connection', (client: Socket) => {
      if (this.#refuses) {
        client.destroy();
        return;
      }
      const upstream = connect(target);
      const pair = [client, upstream] as const;
      this.#pairs.add(pair);
      for (const [from, to] of [pair, [upstream, client] as const]) {
        from.on('data', (data) => {
          if (!this.#silent.has(from)) to.write(data);
        });
        from.on('error', () => to.destroy());
        from.on('close', () => {
          // What is silent does not even tell that the other side is gone.
          if (!this.#silent.has(from)) to.destroy();
          this.#pairs.delete(pair);
        });
      }
    });
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server, target);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Of the connections that are open, nothing passes any more, and nobody is told. New ones work. */
  silence(): void {
    for (const [client, upstream] of this.#pairs) {
      this.#silent.add(client);
      this.#silent.add(upstream);
    }
  }

  /** Cuts all connections, and lets no new ones through until `restore`. */
  cut(): void {
    this.#refuses = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  restore(): void {
    this.#refuses = false;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.cut();
    this.#server.close();
    await closed;
  }
}
