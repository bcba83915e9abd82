import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { needTool } from '../fakes/external-tool.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { CatalogMesh, type PeerIdentity } from '../fakes/catalog-mesh.ts';

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n`;

describe('openssl s_client, calling a STRICT sidecar that runs beside the CA', function () {
  this.timeout(60_000);
  let mesh: CatalogMesh;
  let front: PeerIdentity;

  before(async function () {
    needTool(this, 'openssl');
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
    await mesh.sidecar('shop/catalog');
    front = await mesh.svid('shop', 'front');
  });
  after(async () => {
    if ((mesh as CatalogMesh | undefined) !== undefined) await mesh.stop();
  });
  beforeEach(() => mesh.seen.splice(0));

  /** Verifies the server against the roots alone: its certificate names a workload, not a host. */
  const sClient = async (
    flags: readonly string[],
    { path = '/books', peer }: { path?: string; peer?: PeerIdentity } = {},
  ): Promise<{ code: number; output: string }> => {
    const own = peer === undefined ? [] : ['-cert', peer.chainFile, '-key', peer.keyFile];
    const verify = ['-verify_return_error', '-CAfile', front.rootsFile, '-purpose', 'sslserver'];
    const to = ['-connect', `${mesh.address}:8080`, '-alpn', 'istio'];
    const child = spawn('openssl', ['s_client', '-ign_eof', ...to, ...verify, ...own, ...flags]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data: Buffer) => (output += data.toString('latin1')));
    }
    child.stdin.on('error', () => {});
    child.stdin.write(request(path));
    const [code] = (await once(child, 'close')) as [number];
    return { code, output };
  };

  for (const version of ['tls1_2', 'tls1_3']) {
    describe(`over ${version}`, () => {
      it('verifies the chain of the sidecar, and is served', async () => {
        const { output } = await sClient([`-${version}`], { peer: front });
        assert.match(output, /Verify return code: 0 \(ok\)/);
        assert.match(output, /ALPN protocol: istio/);
        assert.match(output, /HTTP\/1\.1 200 OK[\s\S]*books/);
      });

      it('is denied by policy', async () => {
        const { output } = await sClient([`-${version}`], { peer: front, path: '/admin' });
        assert.match(output, /HTTP\/1\.1 403 Forbidden[\s\S]*RBAC: access denied/);
        assert.deepEqual(mesh.seen, []);
      });

      it('is not served without a certificate (invariant 4)', async () => {
        const { output } = await sClient([`-${version}`]);
        assert.doesNotMatch(output, /HTTP\/1\.1/);
        assert.deepEqual(mesh.seen, []);
      });

      it('resumes its session, and is served as who it was', async () => {
        const file = join(mesh.folder, `${version}.session`);
        assert.match((await sClient([`-${version}`, '-sess_out', file], { peer: front })).output, /HTTP\/1\.1 200/);
        const { output } = await sClient([`-${version}`, '-sess_in', file], { peer: front });
        assert.match(output, /HTTP\/1\.1 200/);
        assert.match(output, /^Reused, /m);
        const [first, second] = mesh.seen.map(({ headers }) => headers['x-forwarded-client-cert']);
        assert.match(String(first), /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/front/);
        assert.equal(second, first);
      });
    });
  }

  it('finds no sidecar that speaks an older TLS', async () => {
    for (const version of ['tls1', 'tls1_1']) {
      const { output } = await sClient([`-${version}`, '-cipher', 'ALL:@SECLEVEL=0'], { peer: front });
      assert.doesNotMatch(output, /HTTP\/1\.1/);
    }
    assert.deepEqual(mesh.seen, []);
  });

  it('is refused a renegotiation', async () => {
    const own = ['-CAfile', front.rootsFile, '-cert', front.chainFile, '-key', front.keyFile];
    const child = spawn('openssl', ['s_client', '-connect', `${mesh.address}:8080`, '-tls1_2', ...own]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data: Buffer) => {
        output += data.toString('latin1');
        // `R` on a line of its own asks for one.
        if (output.includes('Verify return code') && !output.includes('RENEGOTIATING')) child.stdin.write('R\n');
      });
    }
    child.stdin.on('error', () => {});
    await once(child, 'close');
    assert.match(output, /RENEGOTIATING/);
    assert.match(output, /no renegotiation|:error:|SSL alert|unexpected/i);
  });

  it('is told by the certificate who the server is, and nothing else', async () => {
    const { output } = await sClient(['-tls1_3', '-showcerts'], { peer: front });
    const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(output)?.[0] ?? '';
    const child = spawn('openssl', ['x509', '-noout', '-ext', 'subjectAltName', '-subject']);
    child.stdin.end(pem);
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    await once(child, 'close');
    assert.match(
      said,
      /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/catalog\s*$/m,
    );
    assert.match(said, /^subject=\s*$/m);
  });
});
