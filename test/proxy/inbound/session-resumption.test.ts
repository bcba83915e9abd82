import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { SidecarConfig } from '../../../proxy/agent/sidecar-config.ts';
import type { IdentityMaterial } from '../../../proxy/agent/identity-source.ts';
import { createTlsTerminator, type Terminated, type TlsTerminator } from '../../../proxy/inbound/tls-terminator.ts';
import { createPeerVerifier } from '../../../proxy/verify-peer.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { sidecarConfig, workload } from '../sidecar-world.ts';

const SERVER = 'spiffe://cluster.local/ns/shop/sa/catalog';
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/frontend';
const HOUR = 3_600_000;
const REMEMBERED = 3;

/** What became of one connection, as the server saw it, and what the client got to come back with. */
interface Outcome {
  readonly terminated: Terminated | undefined;
  readonly refusal: string;
  readonly session: Buffer | undefined;
}

for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
  describe(`a session that is resumed with ${maxVersion}`, () => {
    let mesh: TestMesh;
    let server: TestIdentity;
    let client: TestIdentity;
    let config: SidecarConfig;
    let material: IdentityMaterial;
    let changed: () => void;
    let now: number;
    let elapsed: number;
    let terminator: TlsTerminator;
    let listener: Server;
    let outcomes: ((outcome: Omit<Outcome, 'session'>) => void)[];
    before(async () => {
      mesh = await TestMesh.create();
      server = await mesh.issue(SERVER);
      client = await mesh.issue(CLIENT);
    });

    const start = (): { readonly terminator: TlsTerminator; readonly listener: Server } => {
      const made = createTlsTerminator({
        clock: { ...realClock, elapsed: () => elapsed },
        identity: {
          current: () => material,
          onChange: (call) => {
            changed = call;
            return () => {};
          },
        },
        verifyPeer: createPeerVerifier({ current: () => config }, { now: () => now }).verify,
        http2: false,
        mostPeers: REMEMBERED,
        logger: new RecordingLogger(),
      });
      const accepting = createServer({ pauseOnConnect: true }, (socket) => {
        socket.on('error', () => {});
        made.terminate(
          socket,
          (terminated) => {
            terminated.socket.on('error', () => {});
            outcomes.shift()?.({ terminated, refusal: '' });
            terminated.socket.end('ok');
          },
          (refusal) => outcomes.shift()?.({ terminated: undefined, refusal }),
        );
      });
      return { terminator: made, listener: accepting.listen(0, '127.0.0.1') };
    };

    beforeEach(async () => {
      now = Date.now();
      elapsed = 0;
      outcomes = [];
      material = { ...server, version: '1' };
      config = sidecarConfig({ workload: workload({ name: 'catalog' }), rootsPem: mesh.rootPem });
      ({ terminator, listener } = start());
      await once(listener, 'listening');
    });
    afterEach(() => {
      listener.close();
      terminator.close();
    });

    const call = async (options: ConnectionOptions = {}, identity: TestIdentity | null = client): Promise<Outcome> => {
      const seen = new Promise<Omit<Outcome, 'session'>>((resolve) => outcomes.push(resolve));
      const socket: TLSSocket = connect({
        port: (listener.address() as AddressInfo).port,
        host: '127.0.0.1',
        ca: mesh.rootPem,
        checkServerIdentity: () => undefined,
        rejectUnauthorized: false,
        ALPNProtocols: ['istio'],
        maxVersion,
        ...(identity === null ? {} : { key: identity.keyPem, cert: identity.chainPem }),
        ...options,
      });
      let session: Buffer | undefined;
      socket.on('session', (ticket: Buffer) => (session = ticket));
      socket.on('error', () => {});
      socket.resume();
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      const outcome = await seen;
      await closed;
      return { ...outcome, session };
    };
    /** The session that a full handshake gave. */
    const begin = async (identity: TestIdentity | null = client): Promise<Buffer> => {
      const { terminated, session } = await call({}, identity);
      assert.ok(identity === null || terminated?.resumed === false);
      return session ?? assert.fail('no session was given');
    };

    it('shows the identity and the certificate of its first handshake (invariant 8)', async () => {
      const first = await begin();
      const { terminated, session } = await call({ session: first });
      assert.equal(terminated?.resumed, true);
      assert.equal(terminated.peer, CLIENT);
      assert.equal(terminated.self, SERVER);
      assert.ok(terminated.certificate.equals(client.leaf));
      assert.equal(terminated.socket.alpnProtocol, 'istio');
      // And so on, one after another.
      const third = await call({ session: session ?? first });
      assert.deepEqual([third.terminated?.resumed, third.terminated?.peer], [true, CLIENT]);
    });

    it('is that of who began it, whatever certificate is brought along (invariant 8)', async () => {
      const other = await mesh.issue('spiffe://cluster.local/ns/shop/sa/other');
      const { terminated } = await call({ session: await begin() }, other);
      assert.deepEqual([terminated?.resumed, terminated?.peer], [true, CLIENT]);
    });

    it('is judged by the whole chain, intermediates too', async () => {
      const behind = await (await mesh.intermediate()).issue(CLIENT);
      const { terminated } = await call({ session: await begin(behind) }, behind);
      assert.deepEqual([terminated?.resumed, terminated?.peer], [true, CLIENT]);
    });

    it('is refused once the certificate has expired (invariant 8)', async () => {
      const brief = await mesh.issue(CLIENT, { notAfter: now + 60_000 });
      const session = await begin(brief);
      assert.equal((await call({ session }, brief)).terminated?.resumed, true);
      now += 62_000;
      const { terminated, refusal } = await call({ session }, brief);
      assert.equal(terminated, undefined);
      assert.match(refusal, /has expired/);
    });

    it('is refused once the bundle holds its root no more, even where TLS has the same roots (invariant 8)', async () => {
      const session = await begin();
      const other = await TestMesh.create();
      config = sidecarConfig({ workload: workload({ name: 'catalog' }), rootsPem: other.rootPem });
      const { terminated, refusal } = await call({ session });
      assert.equal(terminated, undefined);
      assert.match(refusal, /RFC5280/);
    });

    it('is not resumed once our roots have changed: the peer is asked for its certificate (invariant 8)', async () => {
      const session = await begin();
      material = { ...server, rootsPem: (await TestMesh.create()).rootPem, version: '2' };
      changed();
      const { terminated, refusal } = await call({ session });
      assert.equal(terminated, undefined);
      assert.match(refusal, /OpenSSL does not accept/);
    });

    it('is not resumed once our certificate has changed', async () => {
      const session = await begin();
      material = { ...(await mesh.issue(SERVER)), version: '2' };
      changed();
      assert.equal((await call({ session })).terminated?.resumed, false);
    });

    it('is not resumed after an hour', async () => {
      const session = await begin();
      elapsed = HOUR;
      assert.equal((await call({ session })).terminated?.resumed, true);
      elapsed = HOUR + 1;
      assert.equal((await call({ session })).terminated?.resumed, false);
    });

    it('is not resumed once more peers have come than are remembered, and the newer ones are', async () => {
      const session = await begin();
      for (let peers = 1; peers < REMEMBERED; peers += 1) await begin(await mesh.issue(CLIENT));
      const { terminated, session: newer } = await call({ session });
      assert.equal(terminated?.resumed, false);
      assert.equal((await call({ session: newer ?? assert.fail() })).terminated?.resumed, true);
    });

    it('is not resumed by another sidecar, be it of the same identity', async () => {
      const session = await begin();
      const [mine, theirs] = [{ terminator, listener }, start()];
      ({ terminator, listener } = theirs);
      await once(listener, 'listening');
      assert.equal((await call({ session })).terminated?.resumed, false);
      mine.listener.close();
      mine.terminator.close();
    });

    it('is given to nobody who was refused: without a certificate, or with one that was not accepted (invariant 4)', async () => {
      const wrong = await mesh.issue('spiffe://cluster.local');
      const stranger = await (await TestMesh.create()).issue(CLIENT);
      for (const identity of [null, wrong, stranger]) {
        const { terminated, session } = await call({}, identity);
        assert.equal(terminated, undefined);
        assert.equal(session, undefined);
      }
    });
  });
}
