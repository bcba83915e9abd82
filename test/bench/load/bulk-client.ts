// Sends or fetches one long body over one mTLS connection. To a proxy of opaque TCP it is bytes as any other.
import { connect, createSecureContext, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { OnReadOpts } from 'node:net';

interface Order {
  readonly port: number;
  readonly bytes: number;
  readonly direction: 'upload' | 'download';
  readonly alpn: readonly string[];
  readonly keyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
}

const PIECE = Buffer.alloc(256 * 1024, 'x');
/** One suite for both proxies, the one that OpenSSL and so our own outbound side prefer. */
const SUITE = 'TLS_AES_256_GCM_SHA384';

function upload(socket: TLSSocket, bytes: number): void {
  socket.write(`POST /api/upload HTTP/1.1\r\nhost: catalog\r\ncontent-length: ${bytes}\r\n\r\n`);
  let left = bytes;
  const next = (): void => {
    while (left > 0) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
      left -= piece.length;
      if (!socket.write(piece)) return;
    }
  };
  socket.on('drain', next);
  next();
}

async function run(order: Order): Promise<void> {
  let received = 0;
  let head = '';
  let finished: () => void = () => {};
  const whenFinished = new Promise<void>((resolve) => (finished = resolve));
  const onread: OnReadOpts = {
    buffer: Buffer.allocUnsafeSlow(64 * 1024),
    callback: (length, buffer) => {
      const before = head.length;
      if (!head.includes('\r\n\r\n')) head += Buffer.from(buffer.subarray(0, length)).toString('latin1');
      if (before === 0 && !head.startsWith('HTTP/1.1 200')) throw new Error(`answered ${head.slice(0, 200)}`);
      received += length;
      const end = head.indexOf('\r\n\r\n');
      const expected = order.direction === 'download' ? order.bytes : 0;
      if (end >= 0 && received >= end + 4 + expected) finished();
      return true;
    },
  };
  const settings: ConnectionOptions & { onread: OnReadOpts } = {
    port: order.port,
    host: '127.0.0.1',
    secureContext: createSecureContext({
      key: order.keyPem,
      cert: order.chainPem,
      ca: order.rootsPem,
      ciphers: SUITE,
      minVersion: 'TLSv1.3',
    }),
    ALPNProtocols: [...order.alpn],
    checkServerIdentity: () => undefined,
    onread,
  };
  const socket = connect(settings);
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  socket.on('close', () => {
    process.send?.({ error: 'the proxy closed the connection' });
    process.exit(1);
  });
  process.send?.({ ready: true });
  await new Promise((resolve) => process.once('message', resolve));
  const begin = performance.now();
  if (order.direction === 'upload') upload(socket, order.bytes);
  else socket.write(`GET /api/${order.bytes} HTTP/1.1\r\nhost: catalog\r\n\r\n`);
  await whenFinished;
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
