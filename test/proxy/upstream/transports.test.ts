import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createSecureContext, createServer, type Server, type TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { UpstreamPool, type UpstreamWaiter } from '../../../proxy/upstream/pool.ts';
import { tlsTransport } from '../../../proxy/upstream/transports.ts';
import type { UpstreamConnection, UpstreamUser } from '../../../proxy/upstream/upstream-connection.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';
import { realClock } from '../../fakes/real-clock.ts';

const SERVER = 'spiffe://cluster.local/ns/shop/sa/catalog';

class User implements UpstreamWaiter, UpstreamUser {
  readonly outcome: Promise<UpstreamConnection | string>;
  received = 0;
  sum = 0;
  onReceived: () => void = () => {};
  #settle: (outcome: UpstreamConnection | string) => void = () => {};

  constructor() {
    this.outcome = new Promise((resolve) => (this.#settle = resolve));
  }

  /** Why it was not had. */
  async failure(): Promise<string> {
    const outcome = await this.outcome;
    return typeof outcome === 'string' ? outcome : assert.fail('a connection was lent');
  }

  onUpstream(connection: UpstreamConnection): void {
    connection.user = this;
    this.#settle(connection);
  }

  onUpstreamFailure(failure: string, reason: string): void {
    this.#settle(`${failure} ${reason}`);
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    this.received += length;
    for (let at = 0; at < length; at += 1) this.sum = (this.sum * 31 + (bytes[at] ?? 0)) % 1_000_003;
    this.onReceived();
  }

  onUpstreamEnd(): void {}
  onUpstreamClosed(): void {}
  onUpstreamDrain(): void {}
  onUpstreamReturned(): void {}
}

describe('an mTLS upstream', () => {
  let mesh: TestMesh;
  let client: TestIdentity;
  let server: Server;
  let deadlines: Deadlines;
  let pool: UpstreamPool;
  const accepted: TLSSocket[] = [];
  before(async () => {
    mesh = await TestMesh.create();
    client = await mesh.issue('spiffe://cluster.local/ns/shop/sa/frontend');
  });
  const start = async (identity: TestIdentity): Promise<void> => {
    server = createServer(
      {
        key: identity.keyPem,
        cert: identity.chainPem,
        ca: mesh.rootPem,
        requestCert: true,
        rejectUnauthorized: true,
        ALPNProtocols: ['http/1.1'],
      },
      (socket) => {
        accepted.push(socket);
        socket.on('error', () => {});
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    deadlines = new Deadlines(realClock, 20);
    const context = createSecureContext({ key: client.keyPem, cert: client.chainPem, ca: client.rootsPem });
    pool = new UpstreamPool({
      deadlines,
      transport: tlsTransport({
        host: '127.0.0.1',
        port: (server.address() as AddressInfo).port,
        servername: 'catalog.shop',
        alpn: ['istio-http/1.1', 'istio', 'http/1.1'],
        secureContext: () => context,
        verifyPeer: ([leaf]) => {
          const name = leaf === undefined ? '' : new X509Certificate(leaf).subjectAltName;
          return name === `URI:${SERVER}` ? undefined : `the peer is ${name}, not ${SERVER}`;
        },
      }),
    });
  };
  afterEach(() => {
    pool.close();
    deadlines.close();
    for (const socket of accepted.splice(0)) socket.destroy();
    server.close();
  });

  it('is used once its identity was verified, and shows ours', async () => {
    await start(await mesh.issue(SERVER));
    const user = new User();
    pool.acquire(user);
    const connection = await user.outcome;
    assert.ok(typeof connection === 'object');
    while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(accepted[0]?.getPeerX509Certificate()?.subjectAltName, `URI:${client.identity}`);
    assert.equal(accepted[0]?.servername, 'catalog.shop');
    assert.equal(accepted[0]?.alpnProtocol, 'http/1.1');
    connection.socket.write('hello');
    const [said] = await once(accepted[0] ?? assert.fail(), 'data');
    assert.equal(String(said), 'hello');
  });

  it('gives every byte in order through the one buffer', async () => {
    await start(await mesh.issue(SERVER));
    const user = new User();
    pool.acquire(user);
    assert.ok(typeof (await user.outcome) === 'object');
    while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const bytes = Buffer.from(Uint8Array.from({ length: 500_000 }, (_, at) => (at * 7) % 251));
    let sum = 0;
    for (const byte of bytes) sum = (sum * 31 + byte) % 1_000_003;
    const whole = new Promise<void>((resolve) => {
      user.onReceived = () => user.received === bytes.length && resolve();
    });
    accepted[0]!.write(bytes);
    await whole;
    assert.equal(user.sum, sum);
  });

  it('is refused under another identity, and the reason says which (invariant 8)', async () => {
    await start(await mesh.issue('spiffe://cluster.local/ns/shop/sa/impostor'));
    const user = new User();
    pool.acquire(user);
    assert.match(await user.failure(), /^UF the peer is URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/impostor, not/);
    assert.equal(pool.open, 0);
  });

  it('is refused under another root', async () => {
    await start(await (await TestMesh.create()).issue(SERVER));
    const user = new User();
    pool.acquire(user);
    assert.match(await user.failure(), /^UF OpenSSL does not accept the certificate: (UNABLE_TO_|CERT)/);
  });
});
