import { strict as assert } from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { GrowingReader } from '../../../proxy/tcp/growing-reader.ts';
import { TcpRelay, type TcpRelayResult } from '../../../proxy/tcp/relay.ts';

describe('the growing reader', () => {
  let origin: Server;
  let relays: Server;
  let reader: GrowingReader;
  let result: Promise<TcpRelayResult>;
  let served: Promise<Socket>;
  let client: Socket;
  beforeEach(async () => {
    origin = createServer({ allowHalfOpen: true });
    served = once(origin, 'connection').then(([socket]: Socket[]) => {
      if (socket === undefined) throw new Error('no connection');
      return socket.on('error', () => {}).resume();
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const { port } = origin.address() as AddressInfo;
    reader = new GrowingReader();
    result = new Promise((resolve) => {
      relays = createServer({ allowHalfOpen: true }, (downstream) => {
        const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, onread: reader.onread });
        void new TcpRelay({ downstream, upstream, reader, onClose: resolve });
      });
    });
    relays.listen(0, '127.0.0.1');
    await once(relays, 'listening');
    client = connect({ port: (relays.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    await once(client, 'connect');
  });
  afterEach(async () => {
    client.destroy();
    (await served).destroy();
    await Promise.all([origin, relays].map((server) => new Promise((resolve) => server.close(resolve))));
  });

  it('passes a long stream unharmed, however it is cut and however its receiver dawdles, and grows over it', async () => {
    const server = await served;
    const sent = createHash('sha256');
    const received = createHash('sha256');
    let length = 0;
    client.on('data', (bytes: Buffer) => {
      received.update(bytes);
      length += bytes.length;
      // Every now and then it takes nothing for a while, so that writes are left half done.
      if (length % 7 === 0) {
        client.pause();
        setImmediate(() => setImmediate(() => client.resume()));
      }
    });
    let total = 0;
    let largest = 0;
    for (let round = 0; round < 400; round += 1) {
      const bytes = randomBytes(1 + ((round * 7919) % 150_000));
      sent.update(bytes);
      total += bytes.length;
      if (!server.write(bytes)) await once(server, 'drain');
      largest = Math.max(largest, reader.size);
    }
    server.end();
    await once(client, 'end');
    client.end();
    assert.equal(received.digest('hex'), sent.digest('hex'));
    assert.equal(length, total);
    assert.equal(largest, 256 * 1024);
    assert.deepEqual(await result, { received: 0, sent: total, reason: '', flags: '-' });
  });

  it('holds 1 KiB while nothing comes, and gives a large buffer back when reads are short again', async () => {
    const server = await served;
    assert.equal(reader.size, 1024);
    client.resume();
    server.write(Buffer.alloc(2 ** 20));
    while (client.bytesRead < 2 ** 20) await once(client, 'data');
    assert.ok(reader.size > 1024);
    for (let answers = 0; reader.size > 1024; answers += 1) {
      assert.ok(answers < 100, `${reader.size} bytes after ${answers} short reads`);
      server.write('short');
      await once(client, 'data');
    }
  });

  it('reads no more than its buffer while the receiver takes nothing (memory is bounded)', async () => {
    const server = await served;
    client.pause();
    const piece = Buffer.alloc(2 ** 20);
    const before = process.memoryUsage().arrayBuffers;
    let written = 0;
    while (!server.writableNeedDrain || written < 64) {
      server.write(piece);
      written += 1;
    }
    let still = 0;
    for (let last = -1; still < 200;) {
      await new Promise((resolve) => setImmediate(resolve));
      still = server.bytesWritten - server.writableLength === last ? still + 1 : 0;
      last = server.bytesWritten - server.writableLength;
    }
    assert.ok(server.writableLength > 32 * 2 ** 20, 'the relay took it all');
    assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 2 ** 20);
    client.resume();
    while (client.bytesRead < written * piece.length) await once(client, 'data');
  });
});
