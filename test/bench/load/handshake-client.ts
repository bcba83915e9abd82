// Opens connection after connection, some at a time: an mTLS handshake, one GET request, its answer, and the end.
import { connect, createSecureContext, type SecureContext } from 'node:tls';

interface Order {
  readonly port: number;
  /** Connections in all, and at any time. */
  readonly connections: number;
  readonly concurrency: number;
  /** Whether each connection resumes a session of one before it. One that does otherwise than asked is an error. */
  readonly resume: boolean;
  /** The one key exchange group that is offered, so that all servers do the same work. */
  readonly group: string;
  readonly keyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
}

const REQUEST = Buffer.from('GET /api/v1/products/42 HTTP/1.1\r\nHost: catalog\r\n\r\n', 'latin1');

class Load {
  readonly #order: Order;
  readonly #context: SecureContext;
  /** The newest last. A ticket is used once where others are to be had, as browsers do. */
  readonly #sessions: Buffer[] = [];

  constructor(order: Order) {
    this.#order = order;
    this.#context = createSecureContext({
      key: order.keyPem,
      cert: order.chainPem,
      ca: order.rootsPem,
      ecdhCurve: order.group,
      minVersion: 'TLSv1.3',
    });
  }

  /** One connection from its beginning to its end. */
  one(resume = this.#order.resume): Promise<void> {
    const session = resume ? this.#session() : undefined;
    return new Promise((resolve, reject) => {
      const socket = connect(
        {
          port: this.#order.port,
          host: '127.0.0.1',
          secureContext: this.#context,
          ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'],
          servername: 'outbound_.80_._.catalog.shop.svc.cluster.local',
          checkServerIdentity: () => undefined,
          ...(session === undefined ? {} : { session }),
        },
        () => {
          if (socket.isSessionReused() === resume) socket.write(REQUEST);
          else socket.destroy(new Error(resume ? 'the session was not resumed' : 'a session was resumed'));
        },
      );
      socket.setNoDelay(true);
      if (this.#order.resume) {
        socket.on('session', (ticket: Buffer) => {
          this.#sessions.push(ticket);
          if (this.#sessions.length > 64) this.#sessions.shift();
        });
      }
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (!text.startsWith('HTTP/1.1 200')) socket.destroy(new Error(`answered ${text.slice(0, 200)}`));
        else if (text.endsWith('x')) socket.end();
      });
      socket.once('error', reject);
      socket.once('close', () => {
        if (text.endsWith('x')) resolve();
        else reject(new Error('the proxy closed a connection before its answer'));
      });
    });
  }

  async run(): Promise<void> {
    let started = 0;
    const worker = async (): Promise<void> => {
      while (started < this.#order.connections) {
        started += 1;
        // oxlint-disable-next-line no-await-in-loop -- one after the other is what each worker is for
        await this.one();
      }
    };
    await Promise.all(Array.from({ length: this.#order.concurrency }, worker));
  }

  #session(): Buffer {
    const session = this.#sessions.length > 1 ? this.#sessions.pop() : this.#sessions[0];
    if (session === undefined) throw new Error('no session was given to resume');
    return session;
  }
}

async function run(order: Order): Promise<void> {
  const load = new Load(order);
  if (order.resume) await load.one(false);
  process.send?.({ ready: true });
  await new Promise((resolve) => process.once('message', resolve));
  await load.run();
  process.send?.({ done: true });
  await new Promise((resolve) => process.once('message', resolve));
  process.exit();
}

process.once('message', (order: Order) => {
  run(order).catch((error: unknown) => {
    process.send?.({ error: String(error) });
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit());
