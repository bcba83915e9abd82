// Holds many mTLS connections on which nothing happens: each is asked one thing, answered, and left alone.
import { connect, createSecureContext, type TLSSocket } from 'node:tls';

interface Order {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly keyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
}

/** Handshakes under way at once. */
const AT_ONCE = 20;

async function run(order: Order): Promise<void> {
  const secureContext = createSecureContext({ key: order.keyPem, cert: order.chainPem, ca: order.rootsPem });
  const held: TLSSocket[] = [];
  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({
        host: order.host,
        port: order.port,
        secureContext,
        ALPNProtocols: ['istio', 'http/1.1'],
        checkServerIdentity: () => undefined,
      });
      socket.write(`GET ${order.path} HTTP/1.1\r\nHost: catalog\r\n\r\n`);
      socket.once('data', (data: Buffer) => {
        if (data.toString('latin1').startsWith('HTTP/1.1 200')) resolve();
        else reject(new Error(`answered ${data.toString('latin1').slice(0, 200)}`));
      });
      socket.on('error', reject);
      socket.on('close', () => {
        process.send?.({ error: 'the proxy closed a connection' });
        process.exit(1);
      });
      held.push(socket);
    });
  const opener = async (): Promise<void> => {
    while (held.length < order.connections) await open();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, opener));
  process.send?.({ held: held.length });
}

process.once('message', (order: Order) => {
  run(order).catch((error: unknown) => {
    process.send?.({ error: String(error) });
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit());
