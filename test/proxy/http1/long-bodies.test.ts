import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer as createPlainServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer } from 'node:tls';
import { tlsTransport } from '../../../proxy/upstream/transports.ts';
import type { UpstreamTransport } from '../../../proxy/upstream/upstream-connection.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';
import { HttpRelay } from '../http-relay.ts';

/** More than the kernel holds between two sockets. */
const LENGTH = 12_000_000;
/** No two places look alike. */
const BODY = Buffer.from(Uint32Array.from({ length: LENGTH / 4 }, (_, at) => Math.imul(at + 1, 2_654_435_761)).buffer);
/** Pieces as other servers write them: whole records of TLS, less, and more. */
const PIECES = [5_000, 16_384, 100_000];

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

interface Framed {
  readonly head: string;
  readonly wrap: (piece: Buffer) => Buffer;
  readonly end: string;
}

const FRAMINGS: Readonly<Record<string, Framed>> = {
  'a content-length': { head: `Content-Length: ${LENGTH}`, wrap: (piece) => piece, end: '' },
  chunks: {
    head: 'Transfer-Encoding: chunked',
    wrap: (piece) => Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]),
    end: '0\r\n\r\n',
  },
};

function framed({ wrap, end }: Framed, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < LENGTH; at += size) pieces.push(wrap(BODY.subarray(at, at + size)));
  return [...pieces, Buffer.from(end)];
}

/** Writes as long as the other side takes it, and goes on when it takes more. */
function pump(socket: Socket, pieces: readonly Buffer[]): void {
  let at = 0;
  const next = (): void => {
    while (at < pieces.length && !socket.writableNeedDrain) socket.write(pieces[at++]!);
    if (at === pieces.length) socket.off('drain', next);
  };
  socket.on('drain', next);
  next();
}

/** Reads a little, lets everybody else go on for some turns of the loop, and reads again: the body, as it was framed. */
function readAnswer(socket: Socket, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let received = 0;
  let body = -1;
  return new Promise((resolve, reject) => {
    const resumeAfter = (turns: number): void => {
      if (turns === 0) socket.resume();
      else setImmediate(() => resumeAfter(turns - 1));
    };
    const take = (piece: Buffer): void => {
      pieces.push(piece);
      received += piece.length;
      if (body < 0) body = Buffer.concat(pieces).indexOf('\r\n\r\n') + 4;
      if (received >= body + length) {
        socket.off('data', take);
        socket.off('close', broken);
        resolve(Buffer.concat(pieces).subarray(body));
        return;
      }
      socket.pause();
      resumeAfter(received % 7);
    };
    const broken = (): void => reject(new Error(`closed after ${received} bytes`));
    socket.on('data', take);
    socket.once('close', broken);
    socket.resume();
  });
}

describe('a long body', () => {
  let identity: TestIdentity;
  let server: Server;
  let relay: HttpRelay | undefined;
  const sockets: Socket[] = [];
  before(async () => {
    identity = await (await TestMesh.create()).issue('spiffe://cluster.local/ns/shop/sa/catalog');
  });
  const listen = async (made: Server): Promise<number> => {
    server = made;
    server.on('secureConnection', (socket: Socket) => sockets.push(socket));
    server.on('connection', (socket: Socket) => sockets.push(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const call = async (port: number): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await relay?.close();
    relay = undefined;
    server.close();
  });

  const UPSTREAMS = {
    plaintext: (answer: (socket: Socket) => void) => [createPlainServer({ noDelay: true }, answer), undefined] as const,
    TLS: (answer: (socket: Socket) => void) => {
      const { keyPem: key, chainPem: cert, rootsPem: ca } = identity;
      const context = createSecureContext({ key, cert, ca });
      const transport = (port: number): UpstreamTransport =>
        tlsTransport({ host: '127.0.0.1', port, alpn: [], secureContext: () => context, verifyPeer: () => undefined });
      return [createTlsServer({ key, cert, ca, requestCert: true }, answer), transport] as const;
    },
  };

  for (const [way, upstream] of Object.entries(UPSTREAMS)) {
    for (const [name, framing] of Object.entries(FRAMINGS)) {
      for (const size of PIECES) {
        it(`of ${name} by ${way} in pieces of ${size} reaches a client that reads slowly as it is, and what is asked next`, async () => {
          let asked = 0;
          const [made, transport] = upstream((socket) => {
            socket.on('error', () => {});
            socket.on('data', () => {
              asked += 1;
              socket.write(`HTTP/1.1 200 OK\r\n${framing.head}\r\n\r\n`);
              pump(socket, framed(framing, size));
            });
          });
          const upstreamPort = await listen(made);
          relay = await HttpRelay.listen({
            upstreamPort,
            ...(transport === undefined ? {} : { transport: transport(upstreamPort) }),
          });
          const client = await call(relay.port);
          const expected = digest(Buffer.concat(framed(framing, size)));
          for (let round = 1; round <= 2; round += 1) {
            client.write('GET /x HTTP/1.1\r\nHost: h\r\n\r\n');
            const whole = framed(framing, size).reduce((sum, piece) => sum + piece.length, 0);
            const got = await readAnswer(client, whole);
            assert.equal(digest(got), expected);
            await relay.completed(round);
            assert.equal(relay.outcomes[round - 1]?.responseBodyBytes, LENGTH);
          }
          assert.equal(asked, 2);
          assert.equal(relay.pool.open, 1, 'the connection was kept');
        });
      }
    }
  }

  it('that a slow client breaks off does not spoil the next one', async () => {
    const framing = FRAMINGS['a content-length'] ?? assert.fail();
    const [made] = UPSTREAMS.plaintext((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n${framing.head}\r\n\r\n`);
        pump(socket, framed(framing, 100_000));
      });
    });
    relay = await HttpRelay.listen({ upstreamPort: await listen(made) });
    for (let round = 0; round < 4; round += 1) {
      const gone = await call(relay.port);
      const stays = await call(relay.port);
      for (const client of [gone, stays]) client.write('GET /x HTTP/1.1\r\nHost: h\r\n\r\n');
      await once(gone, 'data');
      gone.destroy();
      assert.equal(digest(await readAnswer(stays, LENGTH)), digest(BODY));
    }
  });

  for (const size of PIECES) {
    it(`of a request in pieces of ${size} reaches an upstream that reads slowly as it is`, async () => {
      const pieces: Buffer[] = [];
      let length = 0;
      let whole: () => void = () => {};
      const arrived = new Promise<void>((resolve) => (whole = resolve));
      const [made] = UPSTREAMS.plaintext((socket) => {
        socket.on('data', (piece: Buffer) => {
          pieces.push(piece);
          length += piece.length;
          if (length > LENGTH) whole();
          socket.pause();
          setImmediate(() => socket.resume());
        });
      });
      relay = await HttpRelay.listen({ upstreamPort: await listen(made) });
      const client = await call(relay.port);
      client.write(`POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: ${LENGTH}\r\n\r\n`);
      pump(client, framed({ head: '', wrap: (piece) => piece, end: '' }, size));
      await arrived;
      const got = Buffer.concat(pieces);
      assert.equal(digest(got.subarray(got.indexOf('\r\n\r\n') + 4)), digest(BODY));
    });
  }
});
