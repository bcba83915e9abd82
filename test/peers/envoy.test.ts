import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Secured } from '../../proxy/upstream/secured.ts';
import { tlsTransport } from '../../proxy/upstream/transports.ts';
import { envoyInbound } from '../bench/load/envoy-inbound.ts';
import { CATALOG, CATALOG_HOST, CatalogMesh, FRONT, writePeer, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';
import { requireEnvoy, RunningEnvoy } from '../fakes/running-envoy.ts';
import { httpCall, type HttpAnswer } from '../proxy/http-call.ts';
import { envoyClient, envoySecret } from './envoy-client.ts';

const PRICES = 'spiffe://cluster.local/ns/shop/sa/prices';
const PRICES_HOST = 'prices.shop.svc.cluster.local';

/** A workload whose sidecar is an Envoy. */
const prices = (net: string): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: prices, namespace: shop }
spec: { address: ${net}.3, ports: { http: 8080 }, labels: { app: prices }, serviceAccount: prices }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: prices, namespace: shop }
spec:
  hosts: [${PRICES_HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: 8080 }]
  workloadSelector: { labels: { app: prices } }
`;

describe('Envoy beside our sidecars and CA', function () {
  this.timeout(60_000);
  let program: string;
  let mesh: CatalogMesh;
  let front: PeerIdentity;
  const envoys: RunningEnvoy[] = [];

  before(async function () {
    program = requireEnvoy(this);
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this), resources: prices });
    await mesh.sidecar('shop/catalog');
    await mesh.sidecar('shop/front');
    front = await mesh.svid('shop', 'front');
  });
  beforeEach(() => mesh.seen.splice(0));
  afterEach(async () => {
    for (const envoy of envoys.splice(0)) await envoy.stop();
  });
  after(async () => {
    if ((mesh as CatalogMesh | undefined) !== undefined) await mesh.stop();
  });

  const start = async (config: string): Promise<RunningEnvoy> => {
    const envoy = await RunningEnvoy.start({ program, config, folder: mesh.folder });
    envoys.push(envoy);
    return envoy;
  };

  describe('as the caller', () => {
    /** An Envoy that calls the catalog with a certificate, and what it was answered. */
    const caller = async (
      own: Pick<PeerIdentity, 'keyPem' | 'chainPem'>,
      { expected = CATALOG, callsPerConnection = 1_000 }: { expected?: string; callsPerConnection?: number } = {},
    ): Promise<{ call: (path: string) => Promise<HttpAnswer>; envoy: RunningEnvoy; secretFile: string }> => {
      const secretFile = join(mesh.folder, `secret-${envoys.length}.json`);
      writeFileSync(secretFile, envoySecret(own));
      const upstream = { address: mesh.address, port: 8080 };
      const { rootsFile } = front;
      const envoy = await start(envoyClient({ upstream, secretFile, rootsFile, expected, callsPerConnection }));
      const port = await envoy.port('calls');
      return { call: (path) => httpCall('127.0.0.1', port, { path }), envoy, secretFile };
    };

    it('is served by mutual TLS, verified both ways, and the application is told who it was', async () => {
      const { call, envoy } = await caller(front);
      const answer = await call('/books');
      assert.deepEqual([answer.status, answer.body], [200, 'books']);
      const xfcc = String(mesh.seen[0]?.headers['x-forwarded-client-cert']);
      assert.match(xfcc, new RegExp(`^By=${CATALOG};Hash=[0-9a-f]{64};Subject="";URI=${FRONT}$`));
      const stats = await envoy.ask('/stats?filter=cluster.workload.ssl');
      assert.match(stats, /ssl\.handshake: 1/);
      assert.match(stats, /ssl\.versions\.TLSv1\.3: 1/);
      assert.match(stats, /ssl\.no_certificate: 0/);
    });

    it('keeps its connection for many calls', async () => {
      const { call, envoy } = await caller(front);
      for (let count = 0; count < 20; count += 1) assert.equal((await call('/books')).status, 200);
      assert.match(await envoy.ask('/stats?filter=cluster.workload.upstream_cx_total'), /: 1$/m);
    });

    it('resumes its sessions, and is known as before', async () => {
      const { call, envoy } = await caller(front, { callsPerConnection: 1 });
      for (let times = 0; times < 4; times += 1) assert.equal((await call('/books')).status, 200);
      // Every other time: it uses a ticket of TLS 1.3 once, and a server on Node gives none with a resumed handshake.
      assert.match(await envoy.ask('/stats?filter=ssl.session_reused'), /session_reused: 2/);
      const told = new Set(mesh.seen.map(({ headers }) => String(headers['x-forwarded-client-cert'])));
      assert.equal(told.size, 1);
      assert.match([...told].join(), new RegExp(`URI=${FRONT}$`));
    });

    it('is denied by policy, and its connection stays', async () => {
      const { call, envoy } = await caller(front);
      const answer = await call('/admin');
      assert.deepEqual([answer.status, answer.body], [403, 'RBAC: access denied']);
      assert.equal((await call('/books')).status, 200);
      assert.match(await envoy.ask('/stats?filter=cluster.workload.upstream_cx_total'), /: 1$/m);
    });

    it('is denied under an identity that the policy does not name', async () => {
      const { call } = await caller(await mesh.svid('shop', 'other'));
      assert.equal((await call('/books')).status, 403);
      assert.deepEqual(mesh.seen, []);
    });

    it('goes away when another answers than whom it expects', async () => {
      const { call, envoy } = await caller(front, { expected: 'spiffe://cluster.local/ns/shop/sa/another' });
      assert.equal((await call('/books')).status, 503);
      assert.match(await envoy.ask('/stats?filter=cluster.workload.ssl.fail_verify_san'), /: [1-9]\d*$/m);
      assert.deepEqual(mesh.seen, []);
    });

    it('is refused with a certificate of another trust domain, or of another root of this one (invariant 8)', async () => {
      for (const [trustDomain, identity] of [
        ['elsewhere.example', 'spiffe://elsewhere.example/ns/shop/sa/front'],
        ['cluster.local', FRONT],
      ] as const) {
        const { call } = await caller(await (await TestMesh.create(trustDomain)).issue(identity));
        assert.equal((await call('/books')).status, 503, trustDomain);
      }
      assert.deepEqual(mesh.seen, []);
    });

    it('takes a new certificate by SDS and is known by it', async () => {
      const { call, secretFile } = await caller(front, { callsPerConnection: 1 });
      assert.equal((await call('/books')).status, 200);
      // Envoy looks for a file that is moved into place.
      writeFileSync(`${secretFile}.new`, envoySecret(await mesh.svid('shop', 'other')));
      renameSync(`${secretFile}.new`, secretFile);
      await eventually(async () => (await call('/books')).status === 403);
    });
  });

  describe('as the one that is called', () => {
    const called = async (own: PeerIdentity): Promise<void> => {
      const config = envoyInbound({
        upstreamPort: mesh.applicationPort,
        ...own,
        allowed: FRONT,
        listen: { address: `${mesh.net}.3`, port: 8080 },
      });
      await (await start(config)).port('inbound');
    };
    const call = (path = '/api/prices', host = PRICES_HOST): Promise<HttpAnswer> =>
      httpCall(mesh.frontAddress, 15_001, { path, headers: { host } });

    it('takes our call by mutual TLS, knows who we are, and tells its application', async () => {
      await called(await mesh.svid('shop', 'prices'));
      const answer = await call();
      assert.deepEqual([answer.status, answer.body], [200, 'books']);
      const xfcc = String(mesh.seen[0]?.headers['x-forwarded-client-cert']);
      assert.match(xfcc, new RegExp(`^By=${PRICES};Hash=[0-9a-f]{64};Subject="";URI=${FRONT}$`));
    });

    it('resumes our session, and is judged by the certificate that began it', async () => {
      await called(await mesh.svid('shop', 'prices'));
      const secured: Secured[] = [];
      const judged: string[] = [];
      const { keyPem: key, chainPem: cert, rootsPem: ca } = front;
      const context = createSecureContext({ key, cert, ca });
      const transport = tlsTransport({
        host: `${mesh.net}.3`,
        port: 8080,
        alpn: ['istio-http/1.1', 'istio', 'http/1.1'],
        secureContext: () => context,
        verifyPeer: ([leaf]) => {
          judged.push(leaf === undefined ? 'nobody' : String(new X509Certificate(leaf).subjectAltName));
          return undefined;
        },
        onSecured: (how) => secured.push(how),
      });
      for (let times = 0; times < 2; times += 1) {
        const socket = transport.connect();
        await once(socket, 'secureConnect');
        assert.equal(transport.check?.(socket), undefined);
        socket.write('GET /api/prices HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
        await once(socket, 'data');
        socket.destroy();
      }
      assert.deepEqual(
        secured.map(({ resumed }) => resumed),
        [false, true],
      );
      assert.deepEqual([...new Set(judged)], [`URI:${PRICES}`]);
      assert.match(await (envoys.at(-1) ?? assert.fail()).ask('/stats?filter=ssl.session_reused'), /session_reused: 1/);
    });

    it('denies what its own policy does not allow', async () => {
      await called(await mesh.svid('shop', 'prices'));
      const answer = await call('/secret');
      assert.deepEqual([answer.status, answer.body], [403, 'RBAC: access denied']);
    });

    it('is sent nothing under another identity, or by another root (invariant 8)', async () => {
      await called(await mesh.svid('shop', 'other'));
      assert.equal((await call()).status, 503);
      await envoys.pop()?.stop();
      const foreign = await (await TestMesh.create()).issue(PRICES);
      await called(writePeer(join(mesh.folder, 'foreign'), { ...foreign, rootsPem: front.rootsPem }));
      assert.equal((await call()).status, 503);
      assert.deepEqual(mesh.seen, []);
    });

    it('is found again after it was away', async () => {
      const own = await mesh.svid('shop', 'prices');
      await called(own);
      assert.equal((await call()).status, 200);
      await envoys.pop()?.stop();
      assert.equal((await call()).status, 503);
      await called(own);
      await eventually(async () => (await call()).status === 200);
    });
  });

  it('is passed by: our sidecars speak with each other as before', async () => {
    const answer = await httpCall(mesh.frontAddress, 15_001, { path: '/books', headers: { host: CATALOG_HOST } });
    assert.equal(answer.status, 200);
  });
});
