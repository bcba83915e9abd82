import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import type { Secured } from '../../../proxy/upstream/secured.ts';
import { tlsTransport } from '../../../proxy/upstream/transports.ts';
import type { UpstreamTransport } from '../../../proxy/upstream/upstream-connection.ts';
import { TestMesh, type TestIdentity } from '../../fakes/mesh-certificates.ts';

const SERVER = 'spiffe://cluster.local/ns/shop/sa/catalog';

for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
  describe(`a call that resumes a session with ${maxVersion}`, () => {
    let mesh: TestMesh;
    let client: TestIdentity;
    let identity: TestIdentity;
    let server: Server;
    let port: number;
    let context: SecureContext;
    let secured: Secured[];
    let verify: (chain: readonly Buffer[]) => string | undefined;
    /** Whom the server took the caller for, by each connection. */
    let callers: (string | undefined)[];
    /** Whether the server answers, or leaves. */
    let speaks: boolean;
    const open: TLSSocket[] = [];

    const contextOf = ({ keyPem, chainPem, rootsPem }: TestIdentity): SecureContext =>
      createSecureContext({ key: keyPem, cert: chainPem, ca: rootsPem });
    const names =
      (expected: string) =>
      ([leaf]: readonly Buffer[]): string | undefined => {
        const name = leaf === undefined ? 'nobody' : new X509Certificate(leaf).subjectAltName;
        return name === `URI:${expected}` ? undefined : `the peer is ${name}`;
      };
    const serve = async (own: TestIdentity, at = 0): Promise<void> => {
      server = createServer(
        { key: own.keyPem, cert: own.chainPem, ca: mesh.rootPem, requestCert: true, maxVersion },
        (socket) => {
          open.push(socket);
          callers.push(socket.getPeerX509Certificate()?.subjectAltName);
          socket.on('error', () => {});
          if (speaks) socket.write('hello');
          else socket.destroy();
        },
      );
      server.listen(at, '127.0.0.1');
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
    };
    const end = (): void => {
      for (const socket of open.splice(0)) socket.destroy();
      server.close();
    };
    const transportTo = (expected = SERVER): UpstreamTransport => {
      const named = names(expected);
      return tlsTransport({
        host: '127.0.0.1',
        port,
        alpn: ['istio'],
        secureContext: () => context,
        verifyPeer: (chain) => verify(chain) ?? named(chain),
        onSecured: (how) => secured.push(how),
      });
    };
    /** One connection: `resumed` or `full`, or why it was refused. */
    const call = async (transport: UpstreamTransport): Promise<string> => {
      const socket = transport.connect() as TLSSocket;
      open.push(socket);
      // TLS 1.3 gives it some time after the handshake, before or after the first data.
      const ticket = new Promise((resolve) => socket.once('session', resolve));
      await once(socket, 'secureConnect');
      const refusal = transport.check?.(socket);
      const how = socket.isSessionReused() ? 'resumed' : 'full';
      if (refusal === undefined && speaks) await once(socket, 'data');
      if (how === 'full' && refusal === undefined && maxVersion === 'TLSv1.3') await ticket;
      if (!speaks) await once(socket.resume(), 'end');
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
      return refusal ?? how;
    };

    before(async () => {
      mesh = await TestMesh.create();
      client = await mesh.issue('spiffe://cluster.local/ns/shop/sa/frontend');
      identity = await mesh.issue(SERVER);
    });
    beforeEach(async () => {
      context = contextOf(client);
      secured = [];
      callers = [];
      speaks = true;
      verify = () => undefined;
      await serve(identity);
    });
    afterEach(end);

    it('reaches the same peer as the same caller, again and again', async () => {
      const transport = transportTo();
      const seen: string[] = [];
      for (let times = 0; times < 6; times += 1) seen.push(await call(transport));
      assert.deepEqual(seen, ['full', ...Array.from({ length: 5 }, () => 'resumed')]);
      assert.deepEqual([...new Set(callers)], [`URI:${client.identity}`]);
    });

    it('judges the chain that began it, before and after (invariant 8)', async () => {
      const transport = transportTo();
      const judged: (readonly Buffer[])[] = [];
      verify = (chain) => {
        judged.push(chain);
        return undefined;
      };
      assert.equal(await call(transport), 'full');
      assert.equal(await call(transport), 'resumed');
      assert.equal(judged.length, 3);
      for (const chain of judged) assert.ok(chain[0]?.equals(identity.leaf));
    });

    it('is no call at all where the chain became wrong while it was made (invariant 8)', async () => {
      const transport = transportTo();
      assert.equal(await call(transport), 'full');
      let asked = 0;
      verify = () => {
        asked += 1;
        return asked > 1 ? 'it has expired' : undefined;
      };
      assert.equal(await call(transport), 'it has expired');
      verify = () => undefined;
      assert.equal(await call(transport), 'full');
    });

    it('becomes a full handshake once the chain is not accepted any more, as when it has expired (invariant 8)', async () => {
      const transport = transportTo();
      assert.equal(await call(transport), 'full');
      const renewed = await mesh.issue(SERVER);
      verify = ([leaf]) => (leaf?.equals(identity.leaf) === true ? 'it has expired' : undefined);
      const at = port;
      end();
      await serve(renewed, at);
      assert.equal(await call(transport), 'full');
      assert.equal(await call(transport), 'resumed');
    });

    it('becomes a full handshake with another certificate of our own, or other roots (invariant 8)', async () => {
      const transport = transportTo();
      assert.equal(await call(transport), 'full');
      const renewed = await mesh.issue('spiffe://cluster.local/ns/shop/sa/other');
      context = contextOf(renewed);
      assert.equal(await call(transport), 'full');
      assert.equal(callers.at(-1), `URI:${renewed.identity}`);
      context = contextOf({ ...client, rootsPem: `${mesh.rootPem}\n${(await TestMesh.create()).rootPem}` });
      assert.equal(await call(transport), 'full');
    });

    it('is of no use to a call that expects somebody else (invariant 8)', async () => {
      assert.equal(await call(transportTo()), 'full');
      const other = transportTo('spiffe://cluster.local/ns/shop/sa/other');
      assert.match(await call(other), /^the peer is URI:.*catalog$/);
      assert.equal(await call(transportTo()), 'full');
    });

    it('proves nothing for another that answers at the same address (invariant 8)', async () => {
      const transport = transportTo();
      assert.equal(await call(transport), 'full');
      const at = port;
      end();
      await serve(await mesh.issue('spiffe://cluster.local/ns/shop/sa/impostor'), at);
      assert.match(await call(transport), /impostor$/);
    });

    it('is followed by a full handshake where the peer left without a word', async () => {
      const transport = transportTo();
      assert.deepEqual([await call(transport), await call(transport)], ['full', 'resumed']);
      speaks = false;
      assert.equal(await call(transport), 'resumed');
      speaks = true;
      assert.equal(await call(transport), 'full');
    });

    it('says by which version and group it is protected', async () => {
      const transport = transportTo();
      await call(transport);
      await call(transport);
      const group = maxVersion === 'TLSv1.3' ? 'X25519MLKEM768' : 'x25519';
      assert.deepEqual(secured, [
        { version: maxVersion, group, resumed: false },
        { version: maxVersion, group, resumed: true },
      ]);
    });
  });
}

describe('the key exchange of a call', () => {
  for (const [curves, group] of [
    ['X25519MLKEM768', 'X25519MLKEM768'],
    ['X25519', 'x25519'],
    ['P-256', 'secp256r1'],
    ['P-384:P-256', 'secp384r1'],
  ] as const) {
    it(`is ${group} with a peer that has ${curves}`, async () => {
      const mesh = await TestMesh.create();
      const own = await mesh.issue(SERVER);
      const server = createServer(
        { key: own.keyPem, cert: own.chainPem, ca: mesh.rootPem, requestCert: true, ecdhCurve: curves },
        (socket) => socket.on('error', () => {}),
      ).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const seen: Secured[] = [];
      const transport = tlsTransport({
        host: '127.0.0.1',
        port: (server.address() as AddressInfo).port,
        alpn: ['istio'],
        secureContext: () => createSecureContext({ key: own.keyPem, cert: own.chainPem, ca: mesh.rootPem }),
        verifyPeer: () => undefined,
        onSecured: (how) => seen.push(how),
      });
      const socket = transport.connect();
      await once(socket, 'secureConnect');
      assert.equal(transport.check?.(socket), undefined);
      assert.deepEqual(seen, [{ version: 'TLSv1.3', group, resumed: false }]);
      socket.destroy();
      server.close();
    });
  }
});
