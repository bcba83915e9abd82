import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect as connectPlain, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { GrowingReader } from '../../../proxy/tcp/growing-reader.ts';
import { TcpRelay, type TcpRelayResult } from '../../../proxy/tcp/relay.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';

/** More than the kernel holds between two sockets. */
const LENGTH = 12_000_000;
/** No two places look alike. */
const BYTES = Buffer.from(Uint32Array.from({ length: LENGTH / 4 }, (_, at) => Math.imul(at + 1, 2_654_435_761)).buffer);

describe('the TCP relay, from a client', () => {
  for (const kind of ['plaintext', 'TLS'] as const) {
    for (const piece of [900, 5_000, 16_384, 100_000]) {
      it(`passes ${kind} in pieces of ${piece} bytes on unharmed, behind what was put back, to a receiver that takes none for a while`, async () => {
        const {
          keyPem: key,
          chainPem: cert,
          rootsPem: ca,
        } = await (await TestMesh.create()).issue('spiffe://cluster.local/ns/shop/sa/catalog');
        const pieces: Buffer[] = [];
        const sockets: Socket[] = [];
        const origin = createServer({ allowHalfOpen: true }, (socket) => {
          sockets.push(socket);
          socket.on('error', () => {});
          socket.on('data', (bytes: Buffer) => {
            pieces.push(bytes);
            socket.pause();
            setImmediate(() => setImmediate(() => socket.resume()));
          });
          socket.on('end', () => socket.end());
        });
        const ended = Promise.withResolvers<TcpRelayResult>();
        const relay = (downstream: Socket): void => {
          const reader = new GrowingReader();
          const { port } = origin.address() as AddressInfo;
          const upstream = connectPlain({ port, host: '127.0.0.1', allowHalfOpen: true, onread: reader.onread });
          sockets.push(downstream, upstream);
          downstream.allowHalfOpen = true;
          downstream.unshift(Buffer.from('put back'));
          void new TcpRelay({ downstream, upstream, reader, onClose: ended.resolve });
        };
        const relays: Server =
          kind === 'TLS' ? createTlsServer({ key, cert }, relay) : createServer({ allowHalfOpen: true }, relay);
        await Promise.all([origin, relays].map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
        const { port } = relays.address() as AddressInfo;
        const client =
          kind === 'TLS'
            ? connectTls({ port, host: '127.0.0.1', ca, checkServerIdentity: () => undefined })
            : connectPlain({ port, host: '127.0.0.1' });
        sockets.push(client);
        try {
          client.resume();
          for (let at = 0; at < LENGTH; at += piece) {
            if (!client.write(BYTES.subarray(at, at + piece))) await once(client, 'drain');
          }
          client.end();
          assert.deepEqual(await ended.promise, { received: LENGTH + 8, sent: 0, reason: '', flags: '-' });
          const got = Buffer.concat(pieces);
          assert.equal(got.toString('latin1', 0, 8), 'put back');
          let first = 0;
          while (first < LENGTH && got[first + 8] === BYTES[first]) first += 1;
          assert.equal(first, LENGTH, 'where the first wrong byte stands');
        } finally {
          for (const socket of sockets) socket.destroy();
          await Promise.all([origin, relays].map((server) => new Promise((resolve) => server.close(resolve))));
        }
      });
    }
  }
});
