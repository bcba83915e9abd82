import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createSecureContext, connect as connectTls, type SecureContext } from 'node:tls';
import { CATALOG_HOST, CatalogMesh, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { again, callOnce, echoOnce, keepCalling, keepEchoing, newTally } from './steady-load.ts';

/** How long the load lasts; a soak may ask for more. */
const SECONDS = Number(process.env['ROTATION_SECONDS'] ?? 13);

/** The shortest lifetime that the CA issues: renewed after 4.5 to 5.5 seconds. */
const LIFETIME = '10s';

describe('certificates that are rotated again and again under load (slow)', function () {
  this.timeout(60_000 + SECONDS * 1_000);
  let mesh: CatalogMesh;
  before(async function () {
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
  });
  after(() => mesh.stop());

  it('cost no request and no connection, kept or fresh, HTTP or opaque', async () => {
    const flags = ['--certificate-ttl', LIFETIME];
    const catalog = await mesh.sidecar('shop/catalog', flags);
    const front = await mesh.sidecar('shop/front', flags);
    const own = await mesh.svid('shop', 'front');
    const secureContext = createSecureContext({ key: own.keyPem, cert: own.chainPem, ca: own.rootsPem });
    const [kept, fresh, opaque] = [newTally(), newTally(), newTally()];
    const { frontAddress } = mesh;
    const target = { address: frontAddress, host: CATALOG_HOST, path: '/books', answer: 'books' };
    const end = performance.now() + SECONDS * 1_000;
    const more = (): boolean => performance.now() < end;
    await Promise.all([
      ...Array.from({ length: 4 }, () => keepCalling(target, kept, more)),
      again(fresh, more, () => callOnce(target)),
      again(fresh, more, () => callDirectly(mesh, own, secureContext)),
      ...Array.from({ length: 2 }, () => keepEchoing(frontAddress, opaque, more)),
      again(opaque, more, () => echoOnce(frontAddress)),
    ]);
    const rotations = [catalog, front].map(
      ({ log }) => log.filter((record) => record['message'] === 'identity renewed').length,
    );
    const all = [kept, fresh, opaque];
    for (const { failed, dropped } of all) assert.deepEqual([failed.slice(0, 3), dropped], [[], 0]);
    // At the latest after 5.5 seconds each, and a moment for the call to the CA.
    const due = Math.floor(SECONDS / 6);
    for (const count of rotations) assert.ok(count >= due, `${count} rotations in ${SECONDS} s`);
    for (const { sent } of all) assert.ok(sent > 100, JSON.stringify(all));
    for (const { log } of [catalog, front]) {
      assert.deepEqual(
        log.filter(({ level }) => level !== 'info' && level !== 'debug'),
        [],
      );
    }
    console.log(
      `      ${SECONDS} s, ${rotations.join(' and ')} rotations: ${kept.sent} requests on kept connections, ` +
        `${fresh.sent} on fresh ones, ${opaque.sent} messages of opaque bytes; 0 failed, 0 connections dropped`,
    );
  });
});

/** By a TLS client of its own: a whole handshake for each. */
async function callDirectly(mesh: CatalogMesh, own: PeerIdentity, secureContext: SecureContext): Promise<void> {
  const socket = connectTls({
    host: mesh.address,
    port: 8080,
    secureContext,
    ca: own.rootsPem,
    ALPNProtocols: ['istio'],
    checkServerIdentity: () => undefined,
  });
  socket.write('GET /books HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n');
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
  await once(socket, 'close');
  if (!/^HTTP\/1\.1 200 [\s\S]*books$/.test(text)) throw new Error(`answered ${JSON.stringify(text)}`);
}
