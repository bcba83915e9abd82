import { strict as assert } from 'node:assert';
import { constants, createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { createTlsTerminator } from '../../../proxy/inbound/tls-terminator.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';
import { realClock } from '../../fakes/real-clock.ts';

const SERVER = 'spiffe://cluster.local/ns/shop/sa/catalog';

/** The parts of OpenSSL's form of a session that a ClientHello needs: DER with explicit tags. */
function readSession(session: Buffer): { readonly secret: Buffer; readonly ticket: Buffer; readonly cipher: Buffer } {
  const elements = (bytes: Buffer): { tag: number; content: Buffer }[] => {
    const found: { tag: number; content: Buffer }[] = [];
    for (let at = 0; at < bytes.length;) {
      const tag = bytes[at] ?? 0;
      const first = bytes[at + 1] ?? 0;
      const wide = first < 0x80 ? 0 : first - 0x80;
      const length = wide === 0 ? first : bytes.readUIntBE(at + 2, wide);
      at += 2 + wide;
      found.push({ tag, content: bytes.subarray(at, at + length) });
      at += length;
    }
    return found;
  };
  // Node 26 writes before it what it belongs to.
  const der = session.subarray(session.indexOf(Buffer.from([0x30, 0x82])));
  const fields = elements(elements(der)[0]?.content ?? assert.fail());
  const ticket = fields.find(({ tag }) => tag === 0xaa) ?? assert.fail('no ticket');
  return {
    cipher: fields[2]?.content ?? assert.fail(),
    secret: fields[4]?.content ?? assert.fail(),
    ticket: elements(ticket.content)[0]?.content ?? assert.fail(),
  };
}

const sized = (width: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
};
const extension = (type: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([0, type]), sized(2, content)]);

/** A ClientHello (RFC 8446 4.2.9, 4.2.11) that would resume a session without any key exchange, as one record. */
function pskOnlyHello(session: Buffer): Buffer {
  const { secret, ticket, cipher } = readSession(session);
  const hash = cipher.equals(Buffer.from([0x13, 0x02])) ? 'sha384' : 'sha256';
  const size = hash === 'sha384' ? 48 : 32;
  const hmac = (key: Buffer, data: Buffer): Buffer => createHmac(hash, key).update(data).digest();
  const expand = (key: Buffer, label: string, context: Buffer): Buffer =>
    hmac(
      key,
      Buffer.concat([
        Buffer.from([0, size]),
        sized(1, Buffer.from(`tls13 ${label}`)),
        sized(1, context),
        Buffer.from([1]),
      ]),
    );
  const early = hmac(Buffer.alloc(size), secret);
  const finished = expand(expand(early, 'res binder', createHash(hash).digest()), 'finished', Buffer.alloc(0));
  const identities = sized(2, sized(2, ticket), randomBytes(4));
  const hello = (binder: Buffer): Buffer => {
    const extensions = [
      extension(43, sized(1, Buffer.from([3, 4]))),
      extension(45, sized(1, Buffer.from([0]))),
      extension(41, Buffer.concat([identities, sized(2, sized(1, binder))])),
    ];
    const body = [Buffer.from([3, 3]), Buffer.alloc(32, 7), Buffer.from([0]), sized(2, cipher), Buffer.from([1, 0])];
    return Buffer.concat([Buffer.from([1]), sized(3, ...body, sized(2, ...extensions))]);
  };
  const unbound = hello(Buffer.alloc(size));
  const truncated = unbound.subarray(0, unbound.length - size - 3);
  const binder = hmac(finished, createHash(hash).update(truncated).digest());
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(2, hello(binder))]);
}

/** TLS 1.3 can resume without (EC)DHE: whoever learned the session's secret could then read all that follows. */
describe('a session that would be resumed without a key exchange', () => {
  let own: TestIdentity;
  before(async () => {
    own = await (await TestMesh.create()).issue(SERVER);
  });

  /** What the server begins its answer with: a handshake record, or an alert. */
  const answerAt = async (port: number): Promise<'ServerHello' | 'alert'> => {
    const client: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      ca: own.rootsPem,
      key: own.keyPem,
      cert: own.chainPem,
      checkServerIdentity: () => undefined,
    });
    client.resume();
    const [session] = (await once(client, 'session')) as [Buffer];
    client.destroy();
    const raw = connectTcp(port, '127.0.0.1');
    raw.write(pskOnlyHello(session));
    const [first] = (await once(raw, 'data')) as [Buffer];
    raw.destroy();
    if (first[0] === 21) return 'alert';
    assert.deepEqual([first[0], first[5]], [22, 2]);
    return 'ServerHello';
  };

  it('is resumed by a server that allows it, so that the next test means something', async () => {
    const server = createServer({
      key: own.keyPem,
      cert: own.chainPem,
      ca: own.rootsPem,
      secureOptions: constants.SSL_OP_ALLOW_NO_DHE_KEX,
    });
    server.on('tlsClientError', () => {});
    server.on('secureConnection', (socket) => socket.on('error', () => {}));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    assert.equal(await answerAt((server.address() as AddressInfo).port), 'ServerHello');
    server.close();
  });

  it('is not resumed by a sidecar', async () => {
    const terminator = createTlsTerminator({
      clock: realClock,
      identity: { current: () => ({ ...own, version: '1' }), onChange: () => () => {} },
      verifyPeer: () => ({ identity: SERVER }),
      http2: false,
      logger: new RecordingLogger(),
    });
    const refused: string[] = [];
    const server = createTcpServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {});
      terminator.terminate(
        socket,
        (terminated) => {
          terminated.socket.on('error', () => {});
          terminated.socket.write('hello');
        },
        (reason) => refused.push(reason),
      );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    assert.equal(await answerAt((server.address() as AddressInfo).port), 'alert');
    assert.equal(refused.length, 1);
    server.close();
    terminator.close();
  });
});
