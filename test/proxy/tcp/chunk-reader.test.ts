import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect as connectPlain, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { readChunks } from '../../../proxy/tcp/chunk-reader.ts';
import { readInto } from '../../../proxy/tcp/read-into.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';

const LENGTH = 4_000_000;
/** No two places look alike. */
const BYTES = Buffer.from(Uint32Array.from({ length: LENGTH / 4 }, (_, at) => Math.imul(at + 1, 2_654_435_761)).buffer);

for (const kind of ['plaintext', 'TLS'] as const) {
  describe(`the chunks of an accepted socket, over ${kind}`, () => {
    let server: Server;
    let accepted: Socket;
    let client: Socket;
    beforeEach(async () => {
      const { keyPem, chainPem, rootsPem } = await (
        await TestMesh.create()
      ).issue('spiffe://cluster.local/ns/shop/sa/a');
      server =
        kind === 'TLS'
          ? createTlsServer({ key: keyPem, cert: chainPem })
          : createServer({ allowHalfOpen: true, pauseOnConnect: true });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const connected = once(server, kind === 'TLS' ? 'secureConnection' : 'connection');
      client =
        kind === 'TLS'
          ? connectTls({ port, host: '127.0.0.1', ca: rootsPem, checkServerIdentity: () => undefined })
          : connectPlain({ port, host: '127.0.0.1' });
      client.on('error', () => {});
      [accepted] = (await connected) as [Socket];
      accepted.on('error', () => {});
    });
    afterEach(async () => {
      client.destroy();
      accepted.destroy();
      await new Promise((resolve) => server.close(resolve));
    });

    /** Resolves with all that was given, once it is as long as that. */
    function given(length: number, each: (chunk: Buffer) => void = () => {}): Promise<Buffer> {
      const chunks: Buffer[] = [];
      let sum = 0;
      return new Promise((resolve) => {
        readChunks(accepted, (chunk) => {
          chunks.push(chunk);
          sum += chunk.length;
          each(chunk);
          if (sum >= length) resolve(Buffer.concat(chunks));
        });
        accepted.resume();
      });
    }

    it('are read into buffers of ours, once', () => {
      const into = { first: Buffer.alloc(1024), next: () => undefined, callback: () => true };
      assert.equal(readInto(accepted, into), true, 'this version of Node has changed what it is asked by');
      assert.equal(readInto(accepted, into), false);
    });

    for (const size of [1, 700, 5_000, 16_384, 70_000]) {
      it(`hold what was sent in pieces of ${size} bytes, also those that are kept, and also where it is paused now and then`, async () => {
        const length = Math.min(LENGTH, size * 3_000);
        let count = 0;
        const all = given(length, () => {
          count += 1;
          if (count % 5 !== 0) return;
          accepted.pause();
          setImmediate(() => setImmediate(() => accepted.resume()));
        });
        for (let at = 0; at < length; at += size) {
          if (!client.write(BYTES.subarray(at, Math.min(length, at + size)))) await once(client, 'drain');
        }
        assert.ok((await all).equals(BYTES.subarray(0, length)));
      });
    }

    it('are not given while it is paused, though TLS has decrypted them already, and come in their order afterwards', async () => {
      const length = 50_000;
      const chunks: Buffer[] = [];
      readChunks(accepted, (chunk) => {
        assert.equal(accepted.isPaused(), false, 'given while it was paused');
        chunks.push(chunk);
        accepted.pause();
        setImmediate(() => setImmediate(() => accepted.resume()));
      });
      accepted.pause();
      // Several records of TLS, which are read at once.
      await new Promise((resolve) => client.write(BYTES.subarray(0, length), resolve));
      accepted.resume();
      while (Buffer.concat(chunks).length < length) await new Promise((resolve) => setImmediate(resolve));
      assert.ok(Buffer.concat(chunks).equals(BYTES.subarray(0, length)));
    });

    it('begin with what was put back', async () => {
      accepted.unshift(Buffer.from('put back, '));
      const all = given(15);
      client.write('after');
      assert.equal((await all).toString(), 'put back, after');
    });

    it('end with what was sent last, and then in order', async () => {
      const all = given(3);
      client.end('end');
      const ended = once(accepted, 'end');
      assert.equal((await all).toString(), 'end');
      await ended;
    });

    it('are what it emits as data where Node gives no way to say what is read into', async () => {
      const handle: unknown = Reflect.get(accepted, '_handle');
      assert.ok(typeof handle === 'object' && handle !== null);
      Reflect.set(handle, 'useUserBuffer', undefined);
      const all = given(20_000);
      client.write(BYTES.subarray(0, 20_000));
      assert.ok((await all).equals(BYTES.subarray(0, 20_000)));
    });
  });
}
