import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { readClientHello } from '../../../proxy/detect/client-hello.ts';
import { detectLaxly, detectProtocol, detectTls } from '../../../proxy/detect/detect-protocol.ts';

/** The first bytes that Node's TLS client says. */
async function clientHello(options: { servername?: string; ALPNProtocols?: string[] }): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const said = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      pieces.push(chunk);
      said.emit('said');
      done();
    },
  });
  const spoken = once(said, 'said');
  const socket = connect({ socket: said, rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  await spoken;
  socket.destroy();
  return Buffer.concat(pieces);
}

/** The same handshake message in records of at most `size` bytes (RFC 8446 5.1). */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    const header = Buffer.from([22, 3, 1, 0, 0]);
    header.writeUInt16BE(piece.length, 3);
    records.push(header, piece);
  }
  return Buffer.concat(records);
}

describe('reading a ClientHello', () => {
  it('finds the server name and the protocols', async () => {
    const hello = await clientHello({
      servername: 'outbound_.8080_._.catalog',
      ALPNProtocols: ['istio-http/1.1', 'istio'],
    });
    assert.deepEqual(readClientHello(hello), {
      serverName: 'outbound_.8080_._.catalog',
      alpn: ['istio-http/1.1', 'istio'],
    });
    assert.deepEqual(readClientHello(await clientHello({})), { serverName: '', alpn: [] });
  });

  it('gives up on one that is crumbled to keep it busy', () => {
    const crumbled = inRecords(Buffer.concat([Buffer.alloc(5), Buffer.from([1, 0, 0x20, 0]), Buffer.alloc(0x2000)]), 1);
    assert.equal(readClientHello(crumbled), 'none');
    assert.equal(readClientHello(crumbled.subarray(0, 6 * 2_000)), 'more');
  });

  it('waits for every byte of it, in one record or in many', async () => {
    const hello = await clientHello({ servername: 'catalog', ALPNProtocols: ['istio'] });
    const whole = readClientHello(hello);
    assert.ok(typeof whole === 'object');
    for (const size of [1, 3, 4, 100, hello.length]) {
      const bytes = inRecords(hello, size);
      assert.deepEqual(readClientHello(bytes), whole, `records of ${size}`);
      for (let cut = 1; cut < bytes.length; cut += 1) {
        assert.equal(readClientHello(bytes.subarray(0, cut)), 'more', `records of ${size}, cut at ${cut}`);
      }
    }
  });

  it('is not led astray by wrong lengths', async () => {
    const hello = await clientHello({ servername: 'catalog', ALPNProtocols: ['istio', 'h2'] });
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Buffer.from(hello);
        changed[at] = byte;
        const outcome = readClientHello(changed);
        if (typeof outcome === 'object') assert.ok(outcome.alpn.length <= 20);
      }),
      { numRuns: 2_000 },
    );
    assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 0])), 'none', 'an empty record');
    assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 5, 1, 0xff, 0xff, 0xff, 0])), 'none', 'too long');
    assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 5, 2, 0, 0, 1, 0])), 'none', 'another message');
  });
});

describe('detecting a protocol', () => {
  const starts: [string, string][] = [
    ['GET / HTTP/1.1\r\n', 'http1'],
    ['M-SEARCH * HTTP/1.0', 'http1'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['get / HTTP/1.1\r\n', 'tcp'],
    ['GET / HTTP/2.0\r\n', 'tcp'],
    ['GET /\r\n', 'tcp'],
    ['PING\r\n', 'tcp'],
    ['SET a b\r\n', 'tcp'],
    ['*1\r\n$4\r\nPING\r\n', 'tcp'],
    ['SSH-2.0-x\r\n', 'tcp'],
    ['\0', 'tcp'],
    ['\x16\x03\x01\x00\x00', 'tcp'],
    ['\x16\x02', 'tcp'],
    ['A'.repeat(40), 'tcp'],
    [`GET /${'a'.repeat(9000)}`, 'tcp'],
  ];
  for (const [start, protocol] of starts) {
    it(`takes ${JSON.stringify(start.slice(0, 30))} for ${protocol}, and never for something else before`, () => {
      const bytes = Buffer.from(start, 'latin1');
      assert.equal(detectProtocol(bytes)?.protocol, protocol);
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const early = detectProtocol(bytes.subarray(0, cut))?.protocol;
        assert.ok(early === undefined || early === protocol, `${early} at ${cut}`);
      }
    });
  }

  it('waits for what is still open', () => {
    for (const start of ['', 'G', 'GET', 'GET /a', 'GET /a HTT', 'PRI * HTTP/2.0\r\n', '\x16', '\x16\x03']) {
      assert.equal(detectProtocol(Buffer.from(start, 'latin1')), undefined, start);
    }
  });

  it('answers arbitrary bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void detectProtocol(Buffer.from(bytes))));
  });

  const nearly: [string, string][] = [
    ['GET / HTTP/1.1\r\n', 'http1'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['get / HTTP/1.1\r\n', 'http1'],
    ['GET / HTTP/2.0\r\n', 'http1'],
    ['\r\nGET / HTTP/1.1\r\n', 'http1'],
    ['\n\n \tGET  /a b\tHTTP/1.1\n', 'http1'],
    ['Get /\xff\0 http/1.0\r\n', 'http1'],
    ['\r\n\r\n\x01\x02', 'tcp'],
    ['quit\r\nGET / HTTP/1.1\r\n', 'tcp'],
    ['USER a HTTP\r\n', 'tcp'],
    ['OPTIONS rtsp://h/x RTSP/1.0\r\n', 'tcp'],
    ['OPTIONS sip:h SIP/2.0\r\n', 'tcp'],
    ['PING\r\n', 'tcp'],
    ['*1\r\n$4\r\nPING\r\n', 'tcp'],
    ['\0', 'tcp'],
    ['\x16\x03\x01\x00\x00', 'tcp'],
    ['A'.repeat(40), 'tcp'],
    [`get /${'a'.repeat(9000)}`, 'tcp'],
  ];
  for (const [start, protocol] of nearly) {
    it(`takes ${JSON.stringify(start.slice(0, 30))} of a stranger for ${protocol}, as a lax application would`, () => {
      const bytes = Buffer.from(start, 'latin1');
      assert.equal(detectLaxly(bytes)?.protocol, protocol);
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const early = detectLaxly(bytes.subarray(0, cut))?.protocol;
        assert.ok(early === undefined || early === protocol, `${early} at ${cut}`);
      }
    });
  }

  it('does not wait where only TLS is to be told from TCP', () => {
    assert.equal(detectTls(Buffer.from('G'))?.protocol, 'tcp');
    assert.equal(detectTls(Buffer.from([22, 3])), undefined);
    assert.equal(detectTls(Buffer.alloc(0)), undefined);
  });
});
