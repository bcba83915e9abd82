// A closed loop of GET requests over a fixed number of mTLS connections: each sends its next one when it was answered.
import { connect, createSecureContext, type TLSSocket } from 'node:tls';

interface Order {
  /** 127.0.0.1 where nothing is said. */
  readonly host?: string;
  readonly port: number;
  readonly connections: number;
  readonly requests: number;
  readonly keyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
}

const REQUEST = Buffer.from(
  [
    'GET /api/v1/products/42?currency=EUR HTTP/1.1',
    'Host: catalog.shop.svc.cluster.local:8080',
    'User-Agent: load/1.0 (sealwright bench)',
    'Accept: application/json, text/plain, */*',
    'Accept-Encoding: gzip, deflate, br',
    'X-Request-Id: 7a3c5f0e-8c1d-4c43-9f1e-5d2b8a6c1f10',
    'Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
    '',
    '',
  ].join('\r\n'),
  'latin1',
);

/** Every answer is as long as the first one was: found out once, so that counting costs nothing later. */
function answerLength(text: string): number | undefined {
  const end = text.indexOf('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return end < 0 || length === undefined ? undefined : end + 4 + Number(length);
}

async function run(order: Order): Promise<void> {
  const secureContext = createSecureContext({ key: order.keyPem, cert: order.chainPem, ca: order.rootsPem });
  const open = (): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = connect(
        {
          port: order.port,
          host: order.host ?? '127.0.0.1',
          secureContext,
          ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'],
          checkServerIdentity: () => undefined,
        },
        () => resolve(socket),
      );
      socket.setNoDelay(true);
      socket.once('error', reject);
    });
  const sockets = await Promise.all(Array.from({ length: order.connections }, open));
  process.send?.({ ready: true });
  await new Promise((resolve) => process.once('message', resolve));
  let started = 0;
  let done = 0;
  const begin = performance.now();
  await new Promise<void>((resolve, reject) => {
    for (const socket of sockets) {
      let received = 0;
      let expected: number | undefined;
      const next = (): void => {
        if (started === order.requests) return;
        started += 1;
        socket.write(REQUEST);
      };
      socket.on('data', (chunk: Buffer) => {
        if (expected === undefined) {
          const text = chunk.toString('latin1');
          if (!text.startsWith('HTTP/1.1 200')) reject(new Error(`answered ${text.slice(0, 200)}`));
          expected = answerLength(text);
        }
        received += chunk.length;
        // Lengths vary by a digit or two where a proxy adds its own timing; a whole answer ends with its body.
        if (expected !== undefined && received >= expected - 4 && chunk[chunk.length - 1] === 0x78) {
          received = 0;
          done += 1;
          if (done === order.requests) resolve();
          else next();
        }
      });
      socket.on('close', () => reject(new Error('the proxy closed a connection')));
      next();
    }
  });
  process.send?.({ seconds: (performance.now() - begin) / 1000 });
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
