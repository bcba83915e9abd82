import { strict as assert } from 'node:assert';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { createCertificate, RunningCa, sealwright } from '../fakes/running-ca.ts';

describe('the command line', () => {
  it('names its commands', async function () {
    const { code, stdout } = await sealwright(temporaryFolder(this), ['--help']);
    assert.equal(code, 0);
    for (const name of ['init', 'ca', 'token', 'identity', 'audit', 'cert', 'version']) {
      assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
    }
  });

  const wrong: [args: string[], said: RegExp][] = [
    [['nonsense'], /unknown command 'nonsense'/],
    [['ca', '--nonsense'], /unknown option '--nonsense'/],
    [['ca', '--ca-listen', 'nowhere'], /--ca-listen: .*host:port/],
    // A truth may stand alone: what follows it is read as the flag that it is.
    [['ca', '--kubernetes-enabled', '--ca-listen', 'nowhere'], /--ca-listen: .*host:port/],
    [['ca', '--kubernetes-enabled', 'perhaps'], /--kubernetes-enabled: .*true or false/],
    [['ca', '--trust-domain', 'UPPER'], /--trust-domain: .*trust domain/],
    [['identity', 'show'], /missing required argument 'identity'/],
    [['identity', 'list', '-o', 'xml'], /Allowed choices are table, wide, json, yaml/],
    [['token', 'create', 'nobody'], /namespace\/name/],
    [['cert', 'inspect', 'nowhere.pem'], /nowhere\.pem/],
    [['ca', '--config', 'nowhere.yaml'], /nowhere\.yaml/],
  ];
  for (const [args, said] of wrong) {
    it(`says what is wrong with "${args.join(' ')}" and ends with 2`, async function () {
      const { code, stderr } = await sealwright(temporaryFolder(this), args);
      assert.match(stderr, said);
      assert.equal(code, 2);
    });
  }

  it('ends with 3 where no CA runs', async function () {
    const { code, stderr } = await sealwright(temporaryFolder(this), ['identity', 'list']);
    assert.equal(code, 3);
    assert.match(stderr, /^sealwright: the CA does not answer .*; start it with "sealwright ca"/);
  });

  it('writes a folder to start from, and never over one that is there', async function () {
    const folder = temporaryFolder(this);
    const first = await sealwright(folder, ['init', 'mesh', '--trust-domain', 'example.org']);
    assert.equal(first.code, 0);
    assert.match(first.stdout, /^next: cd mesh && sealwright ca$/m);
    assert.match((await sealwright(join(folder, 'mesh/workloads'), ['init', '.'])).stdout, /^next: sealwright ca$/m);
    const settings = readFileSync(join(folder, 'mesh/sealwright.yaml'), 'utf8');
    assert.match(settings, /^trustDomain: example\.org$/m);
    assert.equal(statSync(join(folder, 'mesh/ca')).mode & 0o777, 0o700);
    const again = await sealwright(folder, ['init', 'mesh']);
    assert.equal(again.code, 2);
    assert.equal(readFileSync(join(folder, 'mesh/sealwright.yaml'), 'utf8'), settings);
  });

  describe('against a running CA', () => {
    let ca: RunningCa;
    before(async function () {
      ca = await RunningCa.start(temporaryFolder(this));
      const channel = ca.channel();
      for (const name of ['catalog', 'orders', 'catalog']) {
        await createCertificate(channel, { csr: makeCsrPem(), token: await ca.token('shop', name) });
      }
      channel.close();
    });
    after(() => ca.stop());
    const run = (...args: string[]) => sealwright(ca.folder, args);

    it('lists identities for a person and for a program', async () => {
      const table = await run('identity', 'list');
      assert.match(table.stdout, /^IDENTITY +EXPIRES +SERIAL +AUTHENTICATED BY\n/);
      assert.match(table.stdout, /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/catalog +in 23h59m +[0-9a-f]+ +jwks/);
      const rows = JSON.parse((await run('identity', 'list', '-o', 'json')).stdout) as Record<string, unknown>[];
      const names = rows.map((row) => String(row['identity']).split('/').at(-1));
      assert.deepEqual(names, ['sealwright-ca', 'catalog', 'orders']);
      assert.match((await run('identity', 'list', '-o', 'yaml')).stdout, /^- identity: spiffe:/m);
    });

    it('shows one identity, and all the certificates that it had', async () => {
      const { stdout } = await run('identity', 'show', 'shop/catalog');
      assert.match(stdout, /^identity +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/catalog$/m);
      assert.match(stdout, /^authenticated +jwks jti:/m);
      const history = await run('identity', 'history', 'spiffe://cluster.local/ns/shop/sa/catalog', '-o', 'wide');
      assert.equal(history.stdout.trim().split('\n').length, 3);
      for (const command of ['show', 'history']) {
        const nobody = await run('identity', command, 'shop/nobody');
        assert.deepEqual([nobody.code, nobody.stdout], [1, '']);
        assert.match(nobody.stderr, /no certificate was ever issued/);
      }
    });

    it('verifies the ledger, of the running CA and of an export, and finds what was changed', async () => {
      const live = await run('audit', 'verify');
      assert.equal(live.code, 0, live.stdout);
      assert.match(live.stdout, /^the ledger is good: \d+ entries \(4 certificates\)/);
      const logId = /^log +([0-9a-f]{64})$/m.exec(live.stdout)?.[1] ?? '';
      const exported = (await run('audit', 'export')).stdout;
      const file = join(ca.folder, 'ledger.ndjson');
      writeFileSync(file, exported);
      assert.equal((await run('audit', 'verify', file, '--log-id', logId)).code, 0);
      assert.equal((await run('audit', 'verify', file, '--log-id', '0'.repeat(64))).code, 1);
      writeFileSync(file, exported.replace('sa/orders', 'sa/admin0'));
      const changed = await run('audit', 'verify', file);
      assert.equal(changed.code, 1);
      assert.match(changed.stdout, /^the ledger is NOT good/m);
    });

    it('issues to files that only their owner can read, and explains them', async () => {
      const { code, stdout, stderr } = await run('identity', 'issue', 'ops/laptop', '--ttl', '1h', '--out', 'issued');
      assert.equal(code, 0, stderr);
      assert.equal(stdout.trim().split('\n').length, 3);
      const key = join(ca.folder, 'issued/ops-laptop-key.pem');
      assert.equal(statSync(key).mode & 0o777, 0o600);
      assert.match(readFileSync(key, 'utf8'), /^-----BEGIN PRIVATE KEY-----/);
      const explained = await run('cert', 'inspect', 'issued/ops-laptop-cert.pem');
      assert.match(explained.stdout, /^identity +spiffe:\/\/cluster\.local\/ns\/ops\/sa\/laptop$/m);
      assert.match(explained.stdout, /ends in 59m/);
      const piped = await sealwright(ca.folder, ['cert', 'inspect', '-', '-o', 'json'], ca.rootPem);
      assert.equal((JSON.parse(piped.stdout) as Record<string, unknown>[])[0]?.['ca'], true);
    });

    it('replaces no file unless it is told to, and then issues nothing', async () => {
      const issue = (...more: string[]) => run('identity', 'issue', 'ops/phone', '--out', 'kept', ...more);
      const key = join(ca.folder, 'kept/ops-phone-key.pem');
      assert.equal((await issue()).code, 0);
      const before = readFileSync(key, 'utf8');
      const entries = (await run('audit', 'export')).stdout;
      const again = await issue();
      assert.equal(again.code, 2);
      assert.match(again.stderr, /^sealwright: the file is there already \(file: ".*ops-phone-key\.pem"\); .*--force/);
      assert.equal(readFileSync(key, 'utf8'), before);
      assert.equal((await run('audit', 'export')).stdout, entries);
      assert.equal((await issue('--force')).code, 0);
      assert.notEqual(readFileSync(key, 'utf8'), before);
      const password = join(ca.folder, 'kept/password');
      writeFileSync(password, 'changeit');
      const keystore = ['--format', 'pkcs12', '--password-file', password];
      assert.equal((await issue(...keystore)).code, 0);
      assert.equal((await issue(...keystore)).code, 2);
    });

    it('issues no keystore without a password, and no identity of another trust domain', async () => {
      const entries = async (): Promise<number> => (await run('audit', 'export')).stdout.split('\n').length;
      const before = await entries();
      assert.equal((await run('identity', 'issue', 'ops/laptop', '--format', 'pkcs12')).code, 2);
      const foreign = await run('identity', 'issue', 'spiffe://elsewhere/ns/a/sa/b');
      assert.equal(foreign.code, 1);
      assert.match(foreign.stderr, /this CA does not issue for that identity/);
      assert.equal(await entries(), before);
    });
  });
});
