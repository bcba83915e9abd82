import { strict as assert } from 'node:assert';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer, type ConnectionOptions } from 'node:tls';
import { createHttpEngine } from '../../../proxy/http1/http-engine.ts';
import { RequestIds } from '../../../proxy/http1/request-ids.ts';
import { Allowance } from '../../../proxy/inbound/allowance.ts';
import type { ConnectionFacts } from '../../../proxy/inbound/connection-facts.ts';
import type { Finding } from '../../../proxy/inbound/finding.ts';
import type { IdentityMaterial, PeerVerdict } from '../../../proxy/inbound/identity-source.ts';
import { HandshakeGate } from '../../../proxy/inbound/handshake-gate.ts';
import { InboundListener } from '../../../proxy/inbound/inbound-listener.ts';
import type { InboundPort, MtlsMode } from '../../../proxy/inbound/inbound-services.ts';
import type { Verdict } from '../../../proxy/inbound/connection-authorizer.ts';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { UpstreamPool } from '../../../proxy/upstream/pool.ts';
import { plainTransport } from '../../../proxy/upstream/transports.ts';
import { eventually } from '../../fakes/eventually.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';
import { RawClient, RawServer } from '../../fakes/raw-peer.ts';
import { realClock } from '../../fakes/real-clock.ts';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
/** A request without the name that it was given. */
const unnamed = (text: string): string => text.replace(/^x-request-id: .*\r\n/m, '');
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const SERVER = 'spiffe://cluster.local/ns/shop/sa/catalog';
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/frontend';
const MESH_HTTP = ['istio-http/1.1', 'istio', 'http/1.1'];

const uriOf = ([leaf]: readonly Buffer[]): PeerVerdict => {
  const name = leaf === undefined ? undefined : new X509Certificate(leaf).subjectAltName;
  return name?.startsWith('URI:') === true ? { identity: name.slice(4) } : { reason: 'no SPIFFE ID' };
};

/** The same connection, written one byte at a time for the first 300 bytes. */
function byteByByte(socket: Socket): Duplex {
  let left = 300;
  const slow = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      const step = (at: number): void => {
        if (at >= chunk.length || left <= 0) {
          socket.write(chunk.subarray(at), done);
          return;
        }
        left -= 1;
        socket.write(chunk.subarray(at, at + 1));
        setImmediate(step, at + 1);
      };
      step(0);
    },
  });
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => slow.push(chunk));
  return slow;
}

describe('the inbound listener', () => {
  let mesh: TestMesh;
  let server: TestIdentity;
  let client: TestIdentity;
  let stranger: TestIdentity;
  let upstream: RawServer;
  let listener: InboundListener;
  let port: number;
  let deadlines: Deadlines;
  let pool: UpstreamPool;
  let inbound: { mode: MtlsMode; protocol: InboundPort['protocol'] };
  /** Whether anything is. */
  let served: boolean;
  let material: IdentityMaterial | undefined;
  let changed: (() => void)[];
  let refused: string[];
  let requests: { facts: ConnectionFacts; status: number; detail: string }[];
  let tcp: ConnectionFacts[];
  /** Flags and reasons of opaque connections. */
  let closed: string[];
  let serverFirst: number;
  let found: Finding[];
  let untrusted: string | undefined;
  let decide: (facts: ConnectionFacts, path: string | undefined) => Verdict;
  let verifyPeer: (chain: readonly Buffer[]) => PeerVerdict;
  let watchers: (() => void)[];
  let logger: RecordingLogger;
  let unread: string | undefined;
  let connections: Allowance | undefined;
  let handshakes: HandshakeGate;
  /** Whether the application is nowhere to be found. */
  let unreachable: boolean;
  /** Where somebody else is asked for connections. */
  let asked: Promise<Verdict> | undefined;
  const clients: RawClient[] = [];
  /** Those that servers gave to `secure`. */
  const sessions: Buffer[] = [];

  before(async () => {
    mesh = await TestMesh.create();
    server = await mesh.issue(SERVER);
    client = await mesh.issue(CLIENT);
    stranger = await (await TestMesh.create('other.example')).issue('spiffe://cluster.local/ns/shop/sa/frontend');
  });

  const place = (): InboundPort => ({
    ...inbound,
    address: '127.0.0.1',
    port: upstream.port,
    upstream: pool,
    connect: (onread) =>
      connectTcp({
        port: upstream.port,
        ...(unreachable ? { host: 'nowhere.example', lookup: () => {} } : { host: '127.0.0.1' }),
        allowHalfOpen: true,
        ...(onread === undefined ? {} : { onread }),
      }),
  });
  const open = async (where = { host: '127.0.0.1', port: 0 }): Promise<void> => {
    const notify = (): void => {
      for (const watcher of watchers.splice(0)) watcher();
    };
    listener = new InboundListener({
      clock: realClock,
      engine: createHttpEngine({ clock: realClock, logger, deadlines, limits: { decisionTimeout: 200 } }),
      silence: 20,
      patience: 200,
      connectTimeout: 100,
      services: {
        route: () => (served ? place() : undefined),
        authorizer: (facts) => ({
          decide: (_head, path) => decide(facts, path),
          admitConnection: () => asked ?? decide(facts, undefined),
          decideConnection: () => decide(facts, undefined),
        }),
        requestIds: new RequestIds(randomBytes),
        connections,
        handshakes,
        unreadRefused: () => unread,
        normalizePath: (path) => (path.includes('%00') ? undefined : path.replaceAll('//', '/')),
        verifyPeer: (chain) => verifyPeer(chain),
        peerRefused: () => untrusted,
        identity: {
          current: () => material,
          onChange: (call) => {
            changed.push(call);
            return () => changed.splice(changed.indexOf(call), 1);
          },
        },
        observer: {
          onRequest: (record, facts) => {
            requests.push({ facts, status: record.status, detail: record.detail });
            notify();
          },
          onTcpOpened: (facts) => {
            tcp.push(facts);
            notify();
          },
          onTcpClosed: (_facts, { reason, flags }) => {
            closed.push(`${flags} ${reason}`);
            notify();
          },
          onRefused: (_facts, reason) => {
            refused.push(reason);
            notify();
          },
          onFound: (finding) => found.push(finding),
          onServerFirst: () => {
            serverFirst += 1;
          },
        },
      },
    });
    ({ port } = await listener.listen(where));
  };

  beforeEach(async () => {
    inbound = { mode: 'STRICT', protocol: 'auto' };
    served = true;
    material = { ...server, version: '1' };
    changed = [];
    refused = [];
    requests = [];
    tcp = [];
    closed = [];
    unreachable = false;
    asked = undefined;
    serverFirst = 0;
    found = [];
    untrusted = undefined;
    connections = undefined;
    unread = undefined;
    watchers = [];
    logger = new RecordingLogger();
    handshakes = new HandshakeGate(realClock);
    decide = () => ({ allowed: true });
    verifyPeer = uriOf;
    upstream = await RawServer.listen();
    deadlines = new Deadlines(realClock, 20);
    pool = new UpstreamPool({ transport: plainTransport({ host: '127.0.0.1', port: upstream.port }), deadlines });
    await open();
  });

  afterEach(async () => {
    for (const { socket } of clients.splice(0)) socket.destroy();
    await listener.close();
    pool.close();
    deadlines.close();
    await upstream.close();
  });

  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise<void>((resolve) => watchers.push(resolve));
  };
  const plain = async (): Promise<RawClient> => {
    const raw = await RawClient.connect(port);
    clients.push(raw);
    return raw;
  };
  /** A TLS client; with TLS 1.3 it may believe itself connected before the server has judged it. */
  const secure = async (
    options: ConnectionOptions = {},
    identity: TestIdentity | null = client,
  ): Promise<RawClient> => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      ca: mesh.rootPem,
      checkServerIdentity: () => undefined,
      ALPNProtocols: MESH_HTTP,
      ...(identity === null ? {} : { key: identity.keyPem, cert: identity.chainPem }),
      ...options,
    });
    socket.on('session', (session: Buffer) => sessions.push(session));
    const raw = new RawClient(socket);
    clients.push(raw);
    await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
    return raw;
  };
  /** One request that is answered, and what the application received of it. */
  const exchange = async (raw: RawClient, request = GET): Promise<string> => {
    const before = upstream.connections.map(({ received }) => received.length);
    const answered = raw.received.length;
    raw.send(request);
    for (;;) {
      const index = upstream.connections.findIndex(({ received }, at) => received.length > (before[at] ?? 0));
      const connection = upstream.connections[index];
      if (connection === undefined) {
        assert.ok(!raw.received.closed, `closed before the application heard of it: ${refused.join()}`);
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      const from = before[index] ?? 0;
      await connection.received.until(({ text }) => text.includes('\r\n\r\n', from));
      connection.socket.write(OK);
      await raw.received.until(({ length }) => length >= answered + OK.length);
      return connection.received.text.slice(from);
    }
  };

  describe('tells the application who calls', () => {
    it('by one XFCC element of its own', async () => {
      const text = unnamed(await exchange(await secure()));
      const hash = createHash('sha256').update(client.leaf).digest('hex');
      assert.equal(
        text,
        `GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: By=${SERVER};Hash=${hash};Subject="";URI=${CLIENT}\r\n\r\n`,
      );
      await until(() => requests.length === 1);
      assert.equal(requests[0]?.facts.peer, CLIENT);
    });

    const claims =
      'X-Forwarded-Client-Cert: By=a;URI=spiffe://cluster.local/ns/admin/sa/root\r\n' +
      'x_forwarded_client_cert: By=a;URI=spiffe://cluster.local/ns/admin/sa/root\r\n' +
      'X-Envoy-Peer-Metadata: a\r\nX-Envoy-Peer-Metadata-Id: b\r\nX-ENVOY_PEER-METADATA: c\r\n';

    it('and never by what the peer claims (invariant 6)', async () => {
      const text = await exchange(await secure(), GET.replace('\r\n\r\n', `\r\n${claims}\r\n`));
      assert.ok(!text.includes('admin'));
      assert.ok(!/peer.metadata/i.test(text));
      assert.equal(text.match(/client.cert/gi)?.length, 1);
    });

    it('and by nothing at all in plaintext (invariants 4 and 6)', async () => {
      inbound.mode = 'PERMISSIVE';
      const text = await exchange(await plain(), GET.replace('\r\n\r\n', `\r\n${claims}\r\n`));
      assert.equal(unnamed(text), GET);
      await until(() => requests.length === 1);
      assert.equal(requests[0]?.facts.peer, undefined);
    });
  });

  it('lets peers go at once that reset their connections before it could look who they are', async () => {
    const peers = await Promise.all([plain(), plain(), plain()]);
    // Until here nothing but the kernel has accepted them.
    for (const { socket } of peers) socket.resetAndDestroy();
    await until(() => refused.length === peers.length);
    while (listener.open > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('serves nobody what is gone when the handshake is over', async () => {
    const { socket } = await plain();
    while (listener.open === 0) await new Promise((resolve) => setImmediate(resolve));
    served = false;
    listener.recheck();
    const peer = await secure({ socket, port: undefined });
    peer.send(GET);
    await peer.received.untilClosed();
    assert.deepEqual(refused, ['nothing is served at this destination any more']);
    assert.equal(upstream.connections.length, 0);
  });

  describe('names each request', () => {
    const UUID = /^x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/im;
    const named = (id: string): string => `GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: ${id}\r\n\r\n`;

    it('as the peer of the mesh named it', async () => {
      const text = await exchange(await secure(), named('1-5759e988-bd862e3fe1be46a9'));
      assert.match(text, /^X-Request-Id: 1-5759e988-bd862e3fe1be46a9\r$/m);
      assert.equal(text.match(/x-request-id/gi)?.length, 1);
    });

    it('by a new id each time where it has none', async () => {
      const peer = await secure();
      const [first, second] = [await exchange(peer), await exchange(peer)].map((text) => UUID.exec(text)?.[0]);
      assert.ok(first !== undefined && second !== undefined);
      assert.notEqual(first, second);
    });

    for (const [what, id] of [
      ['holds what does not belong into a log', 'a b'],
      ['is too long', 'a'.repeat(129)],
      ['is repeated', 'a\r\nx-request-id: b'],
      ['is empty', ''],
    ] as const) {
      it(`anew where the id of a peer ${what}`, async () => {
        const text = await exchange(await secure(), named(id));
        assert.match(text, UUID);
        assert.equal(text.match(/x-request-id/gi)?.length, 1);
      });
    }

    it('anew for a stranger, in whatever spelling it named itself (invariant 6)', async () => {
      inbound = { mode: 'PERMISSIVE', protocol: 'http' };
      const text = await exchange(
        await plain(),
        'GET / HTTP/1.1\r\nHost: h\r\nx-request-id: mine\r\nX_Request_Id: mine\r\n\r\n',
      );
      assert.match(text, UUID);
      assert.doesNotMatch(text, /mine/);
    });

    it('and says the name, and nothing else, to whom it denies', async () => {
      decide = () => ({ allowed: false, detail: 'rbac_access_denied_matched_policy[none]' });
      const raw = await secure();
      raw.send(named('abc'));
      await raw.received.until(({ text }) => text.endsWith('RBAC: access denied'));
      assert.match(raw.received.text, /^x-request-id: abc\r$/m);
      assert.doesNotMatch(raw.received.text, /matched_policy/);
    });

    it('and says the name of one whose path is refused', async () => {
      const raw = await secure();
      raw.send('GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n');
      await raw.received.until(({ text }) => text.endsWith('Bad Request'));
      assert.match(raw.received.text, UUID);
    });
  });

  describe('in STRICT', () => {
    it('lets no plaintext through, HTTP or not (invariant 4)', async () => {
      for (const bytes of [
        GET,
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        '*1\r\n$4\r\nPING\r\n',
        '\x16\x03\x01\x00\x05hello',
        '\0\0\0\0\0\0\0\0',
      ]) {
        const raw = await plain();
        raw.send(bytes);
        await raw.received.until(({ ended, closed }) => ended || closed);
        assert.ok(!raw.received.text.includes('HTTP'));
      }
      await until(() => refused.length === 5);
      assert.ok(refused.includes('plaintext where TLS is required'), refused.join());
      assert.equal(upstream.connections.length, 0);
      assert.equal(requests.length + tcp.length, 0);
    });

    it('lets no client in without a certificate (invariant 4)', async () => {
      const raw = await secure({}, null);
      raw.send(GET);
      await raw.received.untilClosed();
      await until(() => refused.length === 1);
      assert.deepEqual(refused, ['the peer sent no certificate']);
      assert.equal(upstream.connections.length, 0);
    });

    it('lets no certificate of another root in (invariant 4)', async () => {
      const raw = await secure({}, stranger);
      raw.send(GET);
      await raw.received.untilClosed();
      await until(() => refused.length === 1);
      assert.match(
        refused[0] ?? '',
        /^OpenSSL does not accept the certificate: (UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT)/,
      );
      assert.equal(upstream.connections.length, 0);
    });

    it('lets no expired certificate in (invariant 4)', async () => {
      const expired = await mesh.issue(CLIENT, { notAfter: Date.now() - 60_000 });
      const raw = await secure({}, expired);
      raw.send(GET);
      await raw.received.untilClosed();
      await until(() => refused.length === 1);
      assert.deepEqual(refused, ['OpenSSL does not accept the certificate: CERT_HAS_EXPIRED']);
    });

    it('lets nobody in whom its own verification refuses, and says why (invariant 8)', async () => {
      verifyPeer = () => ({ reason: 'the identity is revoked' });
      const raw = await secure();
      raw.send(GET);
      await raw.received.untilClosed();
      await until(() => refused.length === 1);
      assert.deepEqual(refused, ['the identity is revoked']);
      assert.equal(upstream.connections.length, 0);
    });

    it('gives its own verification the whole chain', async () => {
      const chains: (readonly Buffer[])[] = [];
      verifyPeer = (chain) => {
        chains.push(chain);
        return uriOf(chain);
      };
      await exchange(await secure());
      assert.ok(chains[0]?.[0]?.equals(client.leaf));
    });

    it('gives it the intermediates that the peer brought along', async () => {
      const between = await mesh.intermediate();
      const chains: number[] = [];
      verifyPeer = (chain) => {
        chains.push(chain.length);
        return uriOf(chain);
      };
      assert.match(await exchange(await secure({}, await between.issue(CLIENT))), /Hash=/);
      assert.deepEqual(chains, [2]);
    });

    it('takes any TLS for the mesh, whatever its ALPN', async () => {
      await exchange(await secure({ ALPNProtocols: ['http/1.1'] }));
    });

    it('speaks no TLS below 1.2', async () => {
      const raw = await secure({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
      await raw.received.untilClosed().catch(() => {});
      assert.ok(raw.received.error !== undefined);
      await exchange(await secure({ maxVersion: 'TLSv1.2' }));
    });

    it('speaks TLS 1.2 with authenticated encryption alone', async () => {
      const raw = await secure({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA' });
      assert.ok(raw.received.error !== undefined);
      await exchange(await secure({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' }));
    });

    it('resumes sessions, and knows the peer as before', async () => {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const heard = await exchange(await secure({ maxVersion }));
        const session = sessions.at(-1) ?? assert.fail();
        const second = await secure({ maxVersion, session });
        assert.equal((second.socket as ReturnType<typeof connectTls>).isSessionReused(), true, maxVersion);
        const xfcc = /^x-forwarded-client-cert: .*$/im;
        assert.equal(xfcc.exec(await exchange(second))?.[0], xfcc.exec(heard)?.[0] ?? assert.fail());
      }
    });

    it('judges a resumed session by the policies in force (invariant 5)', async () => {
      await exchange(await secure());
      decide = () => ({ allowed: false, detail: 'rbac_access_denied_matched_policy[none]' });
      const second = await secure({ session: sessions.at(-1) ?? assert.fail() });
      assert.equal((second.socket as ReturnType<typeof connectTls>).isSessionReused(), true);
      second.send(GET);
      await second.received.until(({ text }) => text.startsWith('HTTP/1.1 403'));
    });

    it('serves who shakes hands, also beside hundreds who open and say nothing (slow)', async () => {
      const before = await secure();
      await Promise.all(Array.from({ length: 300 }, plain));
      // Open connections do not notice, and new ones wait for the silent ones' time to be over.
      await exchange(before);
      await Promise.all(Array.from({ length: 20 }, async () => secure()));
      await exchange(await secure());
      assert.ok(refused.includes('the handshake took too long while others waited'), refused.join());
    });

    it('passes opaque TCP on inside mTLS, also where the server speaks first', async () => {
      const raw = await secure({ ALPNProtocols: ['istio-peer-exchange', 'istio'] });
      const { socket } = await upstream.connection(0);
      socket.write('220 hello\r\n');
      await raw.received.untilText('220 hello');
      raw.send('EHLO me\r\n');
      await upstream.connections[0]!.received.untilText('EHLO me');
      assert.equal(tcp[0]?.peer, CLIENT);
      assert.equal(serverFirst, 1);
    });

    it('finds HTTP inside mTLS without a word in ALPN', async () => {
      const text = await exchange(await secure({ ALPNProtocols: ['istio'] }));
      assert.match(text, /X-Forwarded-Client-Cert/);
    });
  });

  describe('in PERMISSIVE', () => {
    beforeEach(() => {
      inbound.mode = 'PERMISSIVE';
    });

    it('takes mesh mTLS, and verifies it as STRICT does (invariant 4)', async () => {
      assert.match(await exchange(await secure()), /X-Forwarded-Client-Cert/);
      const raw = await secure({}, stranger);
      await raw.received.untilClosed();
      await until(() => refused.length === 1);
      assert.match(refused[0] ?? '', /^OpenSSL/);
    });

    it('takes a ClientHello that comes byte by byte', async () => {
      const raw = await plain();
      const socket = connectTls({
        socket: byteByByte(raw.socket),
        ca: mesh.rootPem,
        key: client.keyPem,
        cert: client.chainPem,
        checkServerIdentity: () => undefined,
        ALPNProtocols: MESH_HTTP,
      });
      await once(socket, 'secureConnect');
      const secured = new RawClient(socket);
      clients.push(secured);
      assert.match(await exchange(secured), /X-Forwarded-Client-Cert/);
    });

    it('passes foreign TLS on unopened and unauthenticated (invariant 4)', async () => {
      const application = createTlsServer(
        { key: server.keyPem, cert: server.chainPem, ALPNProtocols: ['http/1.1'] },
        (socket) => socket.end('from the application'),
      );
      application.listen(0, '127.0.0.1');
      await once(application, 'listening');
      const address = application.address();
      assert.ok(typeof address === 'object' && address !== null);
      const { port: own } = upstream;
      Object.defineProperty(upstream, 'port', { get: () => address.port, configurable: true });
      const raw = await secure({ ALPNProtocols: ['http/1.1'], servername: 'app.example' }, client);
      await raw.received.until(({ ended }) => ended);
      assert.equal(raw.received.text, 'from the application');
      assert.equal(tcp[0]?.peer, undefined);
      assert.equal(tcp[0]?.serverName, 'app.example');
      Object.defineProperty(upstream, 'port', { get: () => own, configurable: true });
      raw.socket.destroy();
      application.close();
    });

    it('takes plaintext HTTP, and plaintext TCP', async () => {
      await exchange(await plain());
      const raw = await plain();
      raw.send('*1\r\n$4\r\nPING\r\n');
      const { received, socket } = await upstream.connection(1);
      await received.untilText('PING');
      socket.write('+PONG\r\n');
      await raw.received.untilText('+PONG');
      assert.equal(tcp[0]?.peer, undefined);
      assert.deepEqual(found, ['http1', 'tcp']);
    });

    it('says what it found out about connections that leave, and of TLS (invariant 4)', async () => {
      (await plain()).socket.end('GE');
      await eventually(() => found.length === 1);
      await secure();
      assert.deepEqual(found, ['gone', 'tls']);
    });

    it('lets a server speak first, without waiting long', async () => {
      const raw = await plain();
      const { socket } = await upstream.connection(0);
      socket.write('220 hello\r\n');
      await raw.received.untilText('220 hello');
      assert.equal(serverFirst, 1);
      assert.deepEqual(found, ['server_first']);
    });

    it('is not misled by a slow client: its late words decide (invariant 4)', async () => {
      const raw = await plain();
      // The silence is over when the probe stands at the server.
      await upstream.connection(0);
      raw.send(GET);
      const { received, socket } = await upstream.connection(1);
      await received.untilText('\r\n\r\n');
      assert.equal(upstream.connections[0]?.received.length, 0);
      socket.write(OK);
      await raw.received.untilText('ok');
      await until(() => requests.length === 1);
    });

    it('gives up on a start that means nothing, as TCP', async () => {
      const raw = await plain();
      raw.send('GE');
      const { received } = await upstream.connection(0);
      await received.untilText('GE');
      assert.deepEqual(found, ['late']);
    });

    it('answers what is no HTTP as bad HTTP where the port is declared as HTTP', async () => {
      inbound.protocol = 'http';
      const raw = await plain();
      raw.send('get / HTTP/1.1\r\nHost: h\r\n\r\n');
      await raw.received.untilText('400 Bad Request');
      assert.equal(upstream.connections.length, 0);
    });
  });

  describe('in DISABLE', () => {
    beforeEach(() => {
      inbound.mode = 'DISABLE';
    });

    it('takes plaintext', async () => {
      assert.equal(unnamed(await exchange(await plain())), GET);
    });

    it('opens no TLS, not even that of the mesh', async () => {
      const raw = await plain();
      const socket = connectTls({ socket: raw.socket, ALPNProtocols: MESH_HTTP, rejectUnauthorized: false });
      socket.on('error', () => {});
      const { received } = await upstream.connection(0);
      await received.until(({ length }) => length > 100);
      assert.equal(received.bytes[0], 22);
      assert.equal(tcp[0]?.peer, undefined);
      socket.destroy();
    });
  });

  describe('asks authorization', () => {
    it('for each request, with the path that the application receives (invariant 7)', async () => {
      const asked: (string | undefined)[] = [];
      decide = (_facts, path) => {
        asked.push(path);
        return path === '/secret'
          ? { allowed: false, detail: 'rbac_access_denied_matched_policy[a]' }
          : { allowed: true };
      };
      const raw = await secure();
      raw.send('GET //secret HTTP/1.1\r\nHost: h\r\n\r\n');
      await raw.received.untilText('RBAC: access denied');
      const text = await exchange(raw, 'GET //open HTTP/1.1\r\nHost: h\r\n\r\n');
      assert.match(text, /^GET \/open HTTP/);
      assert.deepEqual(asked, ['/secret', '/open']);
      await until(() => requests.length === 2);
      assert.deepEqual(
        requests.map(({ status, detail }) => [status, detail]),
        [
          [403, 'rbac_access_denied_matched_policy[a]'],
          [200, 'via_upstream'],
        ],
      );
    });

    it('only where the path can be normalized (invariants 5 and 7)', async () => {
      const raw = await secure();
      raw.send('GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n');
      await raw.received.untilText('400 Bad Request');
      assert.equal(upstream.connections.length, 0);
    });

    it('for each TCP connection, before the application hears of it', async () => {
      decide = () => ({ allowed: false, detail: 'denied' });
      inbound.protocol = 'tcp';
      const raw = await secure({ ALPNProtocols: ['istio'] });
      await raw.received.untilClosed();
      assert.deepEqual(refused, ['denied']);
      assert.equal(upstream.connections.length, 0);
    });

    it('for each TCP connection in a bounded time, whoever is asked (invariant 5)', async () => {
      asked = new Promise(() => {});
      inbound.protocol = 'tcp';
      const raw = await secure({ ALPNProtocols: ['istio'] });
      await raw.received.untilClosed();
      assert.deepEqual(refused, ['decision_timeout']);
      assert.equal(upstream.connections.length, 0);
    });

    it('again for open TCP connections and tunnels when rules change', async () => {
      inbound.protocol = 'tcp';
      const raw = await secure({ ALPNProtocols: ['istio'] });
      raw.send('hello');
      await (await upstream.connection(0)).received.untilText('hello');
      listener.recheck();
      raw.send('again');
      await upstream.connections[0]!.received.untilText('again');
      decide = () => ({ allowed: false, detail: 'denied now' });
      listener.recheck();
      await raw.received.untilClosed();
    });

    it('again for the peers of open connections, such as those revoked since (invariant 8)', async () => {
      const raw = await secure();
      await exchange(raw);
      untrusted = 'the identity is revoked';
      listener.recheck();
      await raw.received.untilClosed();
    });

    it('and closes plaintext when the mode becomes STRICT (invariant 4)', async () => {
      inbound.mode = 'PERMISSIVE';
      const raw = await plain();
      await exchange(raw);
      const secured = await secure();
      inbound.mode = 'STRICT';
      listener.recheck();
      await raw.received.untilClosed();
      await exchange(secured);
    });
  });

  describe('when its certificate changes', () => {
    it('uses the new one for new connections and lets open ones go on', async () => {
      const old = await secure();
      const renewed = await mesh.issue(SERVER);
      material = { ...renewed, version: '2' };
      for (const call of changed) call();
      const fresh = await secure();
      const shown = (raw: RawClient): Buffer | undefined =>
        (raw.socket as ReturnType<typeof connectTls>).getPeerX509Certificate()?.raw;
      assert.ok(shown(fresh)?.equals(renewed.leaf));
      assert.ok(shown(old)?.equals(server.leaf));
      await exchange(old);
    });

    it('uses the new roots for new connections', async () => {
      const otherMesh = await TestMesh.create();
      const other = await otherMesh.issue(CLIENT);
      const before = await secure({}, other);
      await before.received.untilClosed();
      material = { ...server, rootsPem: `${mesh.rootPem}\n${otherMesh.rootPem}`, version: '2' };
      for (const call of changed) call();
      await exchange(await secure({}, other));
    });

    it('keeps the old one where the new one cannot be used, and says so (invariant 5)', async () => {
      material = { ...server, keyPem: client.keyPem, version: '2' };
      for (const call of changed) call();
      assert.match(logger.text, /error the new certificate cannot be used/);
      assert.ok(!logger.text.includes('PRIVATE KEY'));
      await exchange(await secure());
    });

    it('refuses TLS while there is none', async () => {
      await listener.close();
      material = undefined;
      await open();
      const raw = await plain();
      await raw.received.until(({ ended, closed }) => ended || closed);
      assert.deepEqual(refused, ['there is no certificate yet']);
    });
  });

  it('takes no more connections than it may: one more is broken off, and taken when another has closed', async () => {
    await listener.close();
    connections = new Allowance(1);
    inbound.mode = 'PERMISSIVE';
    await open();
    const first = await plain();
    await exchange(first);
    // It may be reset before it knows itself connected.
    const second = new RawClient(connectTcp(port, '127.0.0.1'));
    clients.push(second);
    await second.received.untilClosed();
    assert.deepEqual(refused, ['too many connections']);
    first.socket.destroy();
    await eventually(() => connections?.taken === 0);
    await exchange(await plain());
  });

  it('has its handshakes bounded together with those of others', async () => {
    await plain();
    await eventually(() => handshakes.running === 1);
  });

  it('waits a bounded time for an application that takes an opaque connection, and says so', async () => {
    unreachable = true;
    inbound.protocol = 'tcp';
    const raw = await secure({ ALPNProtocols: ['istio'] });
    raw.send('hello');
    await raw.received.untilClosed();
    await until(() => closed.length > 0);
    assert.deepEqual(closed, ['UF connect timeout']);
  });

  it('lives on where the system cannot accept a connection', async () => {
    let server: Server | undefined;
    const found = (message: unknown): void => {
      server = (message as { server: Server }).server;
    };
    subscribe('tracing:net.server.listen:asyncStart', found);
    try {
      await listener.close();
      inbound.mode = 'PERMISSIVE';
      await open();
    } finally {
      unsubscribe('tracing:net.server.listen:asyncStart', found);
    }
    // As Node does it (net.js, onconnection).
    assert.ok(server !== undefined);
    server.emit('error', new Error('accept ENOMEM'));
    assert.match(logger.text, /accept ENOMEM/);
    await exchange(await plain());
  });

  describe('takes HTTP/2', () => {
    const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

    it('unread, as TCP, at a port that is declared as HTTP/2', async () => {
      inbound = { mode: 'STRICT', protocol: 'http2' };
      const raw = await secure({ ALPNProtocols: ['istio'] });
      raw.send(`${PREFACE}frames`);
      const { received } = await upstream.connection(0);
      await received.untilText('frames');
      assert.equal(received.text, `${PREFACE}frames`);
      assert.equal(tcp[0]?.peer, CLIENT);
    });

    it('by the rules for TCP: what a rule about requests denies is denied as a whole (invariant 5)', async () => {
      inbound = { mode: 'PERMISSIVE', protocol: 'http2' };
      decide = (_facts, path) => (path === undefined ? { allowed: false, detail: 'rbac_denied' } : { allowed: true });
      const raw = await plain();
      raw.send(PREFACE);
      await raw.received.untilClosed();
      assert.deepEqual(refused, ['rbac_denied']);
      assert.equal(upstream.connections.length, 0);
    });

    it('not where tokens in it would go by, nor any longer once they would (invariant 5)', async () => {
      inbound = { mode: 'PERMISSIVE', protocol: 'http2' };
      const before = await plain();
      before.send(PREFACE);
      await (await upstream.connection(0)).received.untilText(PREFACE);
      unread = 'HTTP/2 is not read for tokens';
      listener.recheck();
      await before.received.untilClosed();
      const after = await plain();
      after.send(PREFACE);
      await after.received.untilClosed();
      assert.deepEqual(refused, [unread]);
      assert.equal(upstream.connections.length, 1);
    });

    for (const protocol of ['auto', 'http'] as const) {
      it(`not at a port that is ${protocol}: whom a peer claims to be would go on unread (invariant 6)`, async () => {
        inbound = { mode: 'PERMISSIVE', protocol };
        const raw = await plain();
        raw.send(PREFACE);
        await raw.received.untilClosed();
        assert.deepEqual(refused, ['HTTP/2 at a port that is not declared as HTTP/2']);
        assert.equal(upstream.connections.length, 0);
      });
    }
  });

  it('drains: ends idle connections, lets requests under way end, and accepts no more', async () => {
    const idle = await secure();
    await exchange(idle);
    const busy = await secure();
    busy.send(GET);
    const { socket, received } = await upstream.connection(0);
    await received.until(({ text }) => text.split('\r\n\r\n').length === 3);
    const drained = listener.drain();
    await idle.received.until(({ ended }) => ended);
    idle.socket.end();
    socket.write(OK);
    await busy.received.until(({ ended }) => ended);
    assert.match(busy.received.text, /Connection: close/);
    busy.socket.end();
    await drained;
    await assert.rejects(RawClient.connect(port));
  });

  it('drains what it accepted before and knows only then: its first request is its last', async () => {
    inbound.mode = 'PERMISSIVE';
    const raw = await plain();
    await eventually(() => listener.open === 1);
    const drained = listener.drain();
    await exchange(raw);
    await raw.received.until(({ ended }) => ended);
    assert.match(raw.received.text, /Connection: close/);
    raw.socket.end();
    await drained;
  });

  it('hears of no certificate any more once it has drained', async () => {
    assert.equal(changed.length, 1);
    const raw = await secure();
    const drained = listener.drain();
    // Whoever is still there may be in the midst of a handshake.
    assert.equal(changed.length, 1);
    raw.socket.destroy();
    await drained;
    assert.equal(changed.length, 0);
  });

  it('leaves nothing behind where its port is taken', async () => {
    const taken = { host: '127.0.0.1', port };
    await listener.close();
    const holder = createServer().listen(taken);
    await once(holder, 'listening');
    await assert.rejects(open(taken), { code: 'EADDRINUSE' });
    await listener.close();
    assert.equal(changed.length, 0);
    holder.close();
  });

  it('leaves no socket behind when it is closed, whatever TLS is doing with it', async () => {
    const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    const before = sockets();
    for (const ending of [false, true]) {
      const inside = await secure();
      await exchange(inside);
      if (ending) inside.socket.end();
    }
    await plain();
    await listener.close();
    for (const { socket } of clients) socket.destroy();
    pool.close();
    await upstream.close();
    await eventually(() => sockets() <= before);
  });

  it('keeps nothing of connections that are over', async () => {
    inbound.mode = 'PERMISSIVE';
    for (const make of [plain, secure]) {
      const raw = await make();
      await exchange(raw);
      raw.socket.destroy();
    }
    const silent = await plain();
    silent.socket.resetAndDestroy();
    while (listener.open > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});
