import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect as connectPlain, createServer, type AddressInfo, type OnReadOpts, type Socket } from 'node:net';
import { connect, createServer as createTlsServer, type ConnectionOptions } from 'node:tls';
import { GrowingReader } from '../../../proxy/tcp/growing-reader.ts';
import { TcpRelay } from '../../../proxy/tcp/relay.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';

/** More than the kernel holds between two sockets. */
const LENGTH = 12_000_000;
/** No two places look alike. */
const BYTES = Buffer.from(Uint32Array.from({ length: LENGTH / 4 }, (_, at) => Math.imul(at + 1, 2_654_435_761)).buffer);

describe('the growing reader of a TLS socket', () => {
  // Such a socket delivers all that it has decrypted, also after it was told to stop.
  for (const record of [5_000, 16_384]) {
    it(`passes records of ${record} bytes on unharmed to a receiver that takes none for a while`, async () => {
      const {
        keyPem: key,
        chainPem: cert,
        rootsPem: ca,
      } = await (await TestMesh.create()).issue('spiffe://cluster.local/ns/shop/sa/catalog');
      const origin = createTlsServer({ key, cert }, (socket) => {
        socket.on('error', () => {});
        let at = 0;
        const next = (): void => {
          for (; at < LENGTH && !socket.writableNeedDrain; at += record) socket.write(BYTES.subarray(at, at + record));
        };
        socket.on('drain', next);
        next();
      });
      origin.listen(0, '127.0.0.1');
      await once(origin, 'listening');
      const sockets: Socket[] = [];
      const relays = createServer({ allowHalfOpen: true }, (downstream) => {
        const reader = new GrowingReader();
        const settings: ConnectionOptions & { onread: OnReadOpts } = {
          port: (origin.address() as AddressInfo).port,
          host: '127.0.0.1',
          ca,
          checkServerIdentity: () => undefined,
          onread: reader.onread,
        };
        const upstream = connect(settings);
        sockets.push(downstream, upstream);
        void new TcpRelay({ downstream, upstream, reader, onClose: () => {} });
      });
      relays.listen(0, '127.0.0.1');
      await once(relays, 'listening');
      const client = connectPlain({ port: (relays.address() as AddressInfo).port, host: '127.0.0.1' });
      sockets.push(client);
      try {
        const pieces: Buffer[] = [];
        let length = 0;
        await new Promise<void>((resolve, reject) => {
          client.on('error', reject);
          client.on('data', (piece: Buffer) => {
            pieces.push(piece);
            length += piece.length;
            if (length === LENGTH) resolve();
            client.pause();
            setImmediate(() => setImmediate(() => client.resume()));
          });
        });
        const got = Buffer.concat(pieces);
        let first = 0;
        while (first < LENGTH && got[first] === BYTES[first]) first += 1;
        assert.equal(first, LENGTH, 'where the first wrong byte stands');
      } finally {
        for (const socket of sockets) socket.destroy();
        await Promise.all([origin, relays].map((server) => new Promise((resolve) => server.close(resolve))));
      }
    });
  }
});
