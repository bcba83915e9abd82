import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { makeCa } from '../../fakes/certificate-maker.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { BINARY, createCertificate, RunningCa, sealwright } from '../../fakes/running-ca.ts';
import { encodePem } from '../../../src/pki/pem.ts';

const FREE = ['--ca-listen', '127.0.0.1:0', '--ca-metrics-listen', '127.0.0.1:0'];

/** Starts a CA that cannot start, and answers its last line. */
async function lastWord(folder: string, flags: readonly string[] = []): Promise<{ code: number; line: string }> {
  const { code, stderr } = await sealwright(folder, ['ca', ...FREE, ...flags]);
  return { code, line: stderr.trim().split('\n').at(-1) ?? '' };
}

describe('a CA that cannot start says in one sentence why', () => {
  it('a port in use', async function () {
    const folder = temporaryFolder(this);
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, line } = await lastWord(folder, ['--ca-listen', `127.0.0.1:${port}`]);
    const metrics = await lastWord(folder, ['--ca-metrics-listen', `127.0.0.1:${port}`]);
    other.close();
    assert.ok(code > 0);
    assert.match(line, new RegExp(`^sealwright: .*${port}.*; `));
    assert.match(metrics.line, new RegExp(`^sealwright: the port for metrics.*${port}.*; `));
  });

  it('another CA on the same state', async function () {
    const ca = await RunningCa.start(temporaryFolder(this));
    const { code, line } = await lastWord(ca.folder);
    assert.equal(code, 1);
    assert.match(line, /^sealwright: another CA is running on this state folder .*; stop it, or give this one/);
    // The one that runs goes on.
    const channel = ca.channel();
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem(), token: await ca.token('a', 'b') });
    channel.close();
    assert.equal(certChain.length, 2);
    await ca.stop();
  });

  it('another CA on the same state, seen from another network', async function () {
    if (spawnSync('unshare', ['-n', 'true']).status !== 0) this.skip();
    const ca = await RunningCa.start(temporaryFolder(this));
    const args = ['-n', process.execPath, BINARY, 'ca', ...FREE];
    const { status, stderr } = spawnSync('unshare', args, { cwd: ca.folder, encoding: 'utf8' });
    assert.equal(status, 1);
    assert.match(stderr, /another CA is running on this state folder/);
    // It has not taken the ledger from the one that runs.
    const channel = ca.channel();
    await createCertificate(channel, { csr: makeCsrPem(), token: await ca.token('a', 'b') });
    channel.close();
    await ca.stop();
  });

  it('a state folder that is a file', async function () {
    const folder = temporaryFolder(this);
    writeFileSync(join(folder, 'ca'), '');
    const { code, line } = await lastWord(folder);
    assert.equal(code, 1);
    assert.match(line, /^sealwright: the state folder of the CA cannot be used .*; /);
  });

  it('settings that contradict each other, with file and line', async function () {
    const folder = temporaryFolder(this);
    writeFileSync(join(folder, 'sealwright.yaml'), 'trustDomain: cluster.local\nca:\n  ttl:\n    default: 9000h\n');
    const { code, stderr } = await sealwright(folder, ['ca', ...FREE]);
    assert.equal(code, 2);
    assert.match(stderr, /sealwright\.yaml:4:\d+: error: .*ttl\.default/);
  });

  it('a folder of plugged-in files that is empty, and makes no CA of its own instead', async function () {
    const folder = temporaryFolder(this);
    mkdirSync(join(folder, 'cacerts'));
    const { code, line } = await lastWord(folder, ['--ca-roots', 'cacerts']);
    assert.equal(code, 1);
    assert.match(line, /^sealwright: the folder holds no CA certificate and key .*cacerts/);
    assert.equal(existsSync(join(folder, 'ca/ca-key.pem')), false);
  });

  it("a key that is not the certificate's", async function () {
    const folder = temporaryFolder(this);
    const validity = { notBefore: Date.now() - 1_000, notAfter: Date.now() + 86_400_000 * 365 };
    const [ca, other] = [makeCa('one', validity), makeCa('two', validity)];
    mkdirSync(join(folder, 'ca'), { mode: 0o700 });
    const write = (name: string, text: string): void => writeFileSync(join(folder, 'ca', name), text, { mode: 0o600 });
    write('ca-cert.pem', encodePem('CERTIFICATE', ca.der));
    write('root-cert.pem', encodePem('CERTIFICATE', ca.der));
    write('cert-chain.pem', encodePem('CERTIFICATE', ca.der));
    write('ca-key.pem', other.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    const { code, line } = await lastWord(folder);
    assert.equal(code, 1);
    assert.match(line, /^sealwright: .*key.*; /);
  });

  it('a ledger whose log key is gone', async function () {
    const ca = await RunningCa.start(temporaryFolder(this));
    await ca.stop();
    rmSync(join(ca.folder, 'ca/log-key.pem'));
    const { code, line } = await lastWord(ca.folder);
    assert.equal(code, 1);
    assert.match(line, /^sealwright: .*log.*key.*; /);
  });
});
