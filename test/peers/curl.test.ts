import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { CATALOG, CatalogMesh, FRONT, type PeerIdentity } from '../fakes/catalog-mesh.ts';

const PORT = 8080;
/** curl's own exit codes for a handshake that failed, a connection that was reset, an empty answer. */
const REFUSED = [35, 52, 55, 56];

describe('curl, calling a STRICT sidecar that runs beside the CA', function () {
  this.timeout(60_000);
  let mesh: CatalogMesh;
  let front: PeerIdentity;
  let other: PeerIdentity;

  before(async function () {
    needTool(this, 'curl');
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
    await mesh.sidecar('shop/catalog');
    front = await mesh.svid('shop', 'front');
    other = await mesh.svid('shop', 'other');
  });
  after(async () => {
    // Skipped where there is no curl.
    if ((mesh as CatalogMesh | undefined) !== undefined) await mesh.stop();
  });
  beforeEach(() => mesh.seen.splice(0));

  /** `-k` leaves only the name unchecked, which is none of DNS: that the chain holds is asked by openssl's own test. */
  const curl = async (
    path: string,
    peer?: PeerIdentity,
    more: readonly string[] = [],
  ): Promise<{ code: number; status: number; body: string; said: string }> => {
    const own = peer === undefined ? [] : ['--cert', peer.chainFile, '--key', peer.keyFile, '--cacert', peer.rootsFile];
    const scheme = more.includes('--plain') ? 'http' : 'https';
    const flags = more.filter((flag) => flag !== '--plain');
    const to = `${scheme}://${mesh.address}:${PORT}${path}`;
    const child = spawn('curl', ['-sS', '-k', '--max-time', '10', '-w', '\n%{http_code}', ...own, ...flags, to]);
    let [output, said] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (said += data.toString()));
    const [code] = (await once(child, 'close')) as [number];
    const end = output.lastIndexOf('\n');
    return { code, status: Number(output.slice(end + 1)), body: output.slice(0, end), said };
  };

  for (const version of ['1.2', '1.3']) {
    it(`is served over TLS ${version}, and the application is told who it was`, async () => {
      const answer = await curl('/books', front, [`--tlsv${version}`, '--tls-max', version]);
      assert.deepEqual([answer.status, answer.body], [200, 'books'], answer.said);
      const xfcc = String(mesh.seen[0]?.headers['x-forwarded-client-cert']);
      assert.match(xfcc, new RegExp(`^By=${CATALOG};Hash=[0-9a-f]{64};Subject="";URI=${FRONT}$`));
    });
  }

  it('cannot say that it is somebody else (invariant 6)', async () => {
    const forged = `x-forwarded-client-cert: By=${CATALOG};URI=spiffe://cluster.local/ns/shop/sa/admin`;
    assert.equal((await curl('/books', front, ['-H', forged])).status, 200);
    assert.match(String(mesh.seen[0]?.headers['x-forwarded-client-cert']), new RegExp(`^By=[^,]*;URI=${FRONT}$`));
  });

  it('is denied what the policy does not allow, in the words of Envoy', async () => {
    for (const [path, peer] of [
      ['/admin', front],
      ['/books', other],
      ['/books/../admin', front],
    ] as const) {
      const answer = await curl(path, peer, ['--path-as-is']);
      assert.deepEqual([answer.status, answer.body], [403, 'RBAC: access denied'], `${path}: ${answer.said}`);
      assert.equal(Buffer.byteLength(answer.body), 19);
    }
    assert.deepEqual(mesh.seen, []);
  });

  it('is not served without a certificate (invariant 4)', async () => {
    for (const version of ['1.2', '1.3']) {
      const answer = await curl('/books', undefined, [`--tlsv${version}`, '--tls-max', version]);
      assert.ok(REFUSED.includes(answer.code), `${answer.code}: ${answer.said}`);
      assert.equal(answer.status, 0);
    }
    assert.deepEqual(mesh.seen, []);
  });

  it('is not served in plaintext, and reads nothing (invariant 4)', async () => {
    const answer = await curl('/books', undefined, ['--plain', '--http0.9']);
    assert.ok(REFUSED.includes(answer.code), `${answer.code}: ${answer.said}`);
    assert.deepEqual([answer.status, answer.body], [0, '']);
    assert.deepEqual(mesh.seen, []);
  });

  it('sends a body of a megabyte, and is answered', async () => {
    const file = join(mesh.folder, 'body');
    writeFileSync(file, Buffer.alloc(1 << 20, 'a'));
    const answer = await curl('/books', front, ['--data-binary', `@${file}`]);
    assert.deepEqual([answer.status, answer.body], [200, 'books'], answer.said);
    assert.equal(mesh.seen[0]?.headers['content-length'], String(1 << 20));
  });
});
