import { strict as assert } from 'node:assert';
import { randomBytes, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { makeFirstCa } from '../../../ca/roots/first-start.ts';
import { openRoots, type RootsOptions } from '../../../ca/roots/open-roots.ts';
import { stateFolder, type StateFolder } from '../../../ca/roots/state-folder.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { describeCertificate } from '../../../src/pki/inspect.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { needTool, runTool } from '../../fakes/external-tool.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const FILES = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem'];
const trustDomain = parseTrustDomain('cluster.local');

const options = (folder: string, change: Partial<RootsOptions> = {}): RootsOptions => ({
  folder,
  trustDomain,
  clock: new FakeClock(),
  randomBytes,
  logger: new RecordingLogger(),
  ...change,
});

const refusedWith = (code: ErrorCode) => (error: unknown) => {
  assert.ok(error instanceof SealwrightError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

describe('a self-signed CA', () => {
  let folder: string;
  beforeEach(function () {
    folder = join(temporaryFolder(this), 'ca');
  });

  it('is made on the first start, in files for the CA alone', async () => {
    const clock = new FakeClock();
    const material = await openRoots(options(folder, { clock }));
    assert.deepEqual(readdirSync(folder).sort(), FILES);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(join(folder, 'ca-key.pem')).mode & 0o777, 0o600);
    assert.equal(material.selfSigned, true);
    assert.deepEqual(material.chain, []);
    assert.deepEqual(material.roots, [material.certificate]);
    assert.ok(new X509Certificate(material.certificate).checkPrivateKey(material.privateKey));
    const facts = describeCertificate(material.certificate, clock.now());
    assert.equal(facts.subject, 'O=cluster.local');
    assert.equal(facts.notBefore, clock.now() - 120_000);
    assert.equal(facts.notAfter, clock.now() + 3_650 * 86_400_000);
    assert.equal(material.notAfter, facts.notAfter);
    assert.deepEqual(facts.keyUsages, ['keyCertSign', 'cRLSign']);
  });

  it('is what openssl calls a root', async function () {
    needTool(this, 'openssl');
    await openRoots(options(folder, { clock: new FakeClock(Date.now()) }));
    const root = join(folder, 'root-cert.pem');
    const { code, output } = runTool('openssl', 'verify', '-x509_strict', '-CAfile', root, join(folder, 'ca-cert.pem'));
    assert.equal(code, 0, output);
  });

  it('is the same at every later start', async () => {
    const first = await openRoots(options(folder));
    for (let start = 0; start < 3; start += 1) {
      const again = await openRoots(options(folder, { clock: new FakeClock('2030-06-01T00:00:00Z') }));
      assert.deepEqual(again.certificate, first.certificate);
      assert.ok(again.privateKey.equals(first.privateKey));
    }
  });

  it('is made in a folder that holds other files, and makes it private', async () => {
    mkdirSync(folder, { mode: 0o755 });
    writeFileSync(join(folder, 'ledger.db'), 'x');
    await openRoots(options(folder));
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(readFileSync(join(folder, 'ledger.db'), 'utf8'), 'x');
  });

  it('is never made anew where one of its files is left (invariant 5)', async function () {
    await openRoots(options(folder));
    for (const kept of FILES) {
      const partial = join(temporaryFolder(this), 'partial');
      mkdirSync(partial, { mode: 0o700 });
      cpSync(join(folder, kept), join(partial, kept));
      await assert.rejects(openRoots(options(partial)), refusedWith('ca_files_incomplete'), kept);
      assert.deepEqual(readdirSync(partial), [kept]);
      const before = readFileSync(join(folder, kept));
      rmSync(join(folder, kept));
      await assert.rejects(openRoots(options(folder)), refusedWith('ca_files_incomplete'), kept);
      assert.ok(!existsSync(join(folder, kept)));
      writeFileSync(join(folder, kept), before, { mode: 0o600 });
    }
  });

  it('is one and the same when two processes start at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const place = join(folder, String(round));
      const both = await Promise.allSettled([openRoots(options(place)), openRoots(options(place))]);
      const kept = (await openRoots(options(place))).certificate;
      const opened = both.filter((one) => one.status === 'fulfilled');
      assert.ok(opened.length >= 1);
      for (const one of opened) assert.deepEqual(one.value.certificate, kept);
      for (const one of both.filter((one) => one.status === 'rejected')) refusedWith('ca_files_incomplete')(one.reason);
      assert.deepEqual(readdirSync(place).sort(), FILES);
    }
  });

  it('stays when another process commits its own while the last step runs', async () => {
    let raced = false;
    const state: StateFolder = {
      ...stateFolder,
      removeEmpty: async (path) => {
        if (!raced) {
          raced = true;
          await makeFirstCa({ ...options(folder), now: new FakeClock().now(), state: stateFolder });
          assert.ok(existsSync(join(folder, '.first-start/ca-key.pem')));
        }
        await stateFolder.removeEmpty(path);
      },
    };
    const { certificate } = await openRoots(options(folder, { state }));
    assert.ok(raced);
    assert.deepEqual((await openRoots(options(folder))).certificate, certificate);
    assert.deepEqual(readdirSync(folder).sort(), FILES);
  });

  it('refuses a key that every user may read, and a folder in which every user may write', async () => {
    await openRoots(options(folder));
    const key = join(folder, 'ca-key.pem');
    chmodSync(key, 0o604);
    await assert.rejects(openRoots(options(folder)), refusedWith('ca_file_exposed'));
    chmodSync(key, 0o600);
    chmodSync(folder, 0o703);
    await assert.rejects(openRoots(options(folder)), refusedWith('ca_file_exposed'));
    chmodSync(folder, 0o700);
    assert.ok(await openRoots(options(folder)));
  });

  it('takes a key back from its group with a warning, as volumes with fsGroup make it', async () => {
    const logger = new RecordingLogger();
    await openRoots(options(folder, { logger }));
    assert.doesNotMatch(logger.text, /group/);
    chmodSync(join(folder, 'ca-key.pem'), 0o640);
    await openRoots(options(folder, { logger }));
    assert.match(logger.text, /warn the group of the CA key had rights on it/);
  });

  it('never signs again once it has expired, and says both times', async () => {
    await openRoots(options(folder));
    const clock = new FakeClock('2035-12-30T00:00:01Z');
    await assert.rejects(openRoots(options(folder, { clock })), (error) => {
      refusedWith('ca_certificate_expired')(error);
      assert.match(String(error), /2035-12-30T00:00:01.000Z.*2035-12-30T00:00:00.000Z/);
      return true;
    });
  });

  it('warns in its last month', async () => {
    await openRoots(options(folder));
    const logger = new RecordingLogger();
    await openRoots(options(folder, { logger, clock: new FakeClock('2035-12-01T00:00:00Z') }));
    assert.match(logger.text, /warn the CA ends soon.*2035-12-30/);
  });

  it('belongs to one trust domain', async () => {
    await openRoots(options(folder));
    const other = parseTrustDomain('example.org');
    await assert.rejects(openRoots(options(folder, { trustDomain: other })), refusedWith('ca_trust_domain_differs'));
  });

  it('shows no key in a log, in JSON or in an error (invariant 2)', async () => {
    const logger = new RecordingLogger();
    const material = await openRoots(options(folder, { logger }));
    const key = readFileSync(join(folder, 'ca-key.pem'), 'utf8');
    const pieces = key.split('\n').filter((line) => line.length > 10 && !line.startsWith('-'));
    const error: unknown = await openRoots(options(folder, { logger, trustDomain: parseTrustDomain('x') })).catch(
      (reason: unknown) => reason,
    );
    const shown = [
      logger.text,
      JSON.stringify(material),
      inspect(material, { depth: 9 }),
      inspect(error),
      String(error),
    ];
    assert.ok(pieces.length > 0);
    for (const piece of pieces) assert.ok(!shown.some((text) => text.includes(piece)));
    assert.match(JSON.stringify(material), /\[redacted\]/);
  });
});

describe('a first start that crashes', () => {
  /** A process that dies before its nth step, or in the middle of it where that step writes, and does nothing after. */
  function dyingAt(step: number, counted: { steps: number }): StateFolder {
    const guard = <A extends unknown[], R>(act: (...args: A) => Promise<R>, half?: (...args: A) => void) => {
      return async (...args: A): Promise<R> => {
        counted.steps += 1;
        if (counted.steps < step) return act(...args);
        if (counted.steps === step) half?.(...args);
        throw new Error('the process is dead');
      };
    };
    return {
      makePrivate: guard(stateFolder.makePrivate),
      make: guard(stateFolder.make),
      write: guard(stateFolder.write, (path, text, mode) => {
        writeFileSync(path, text.slice(0, text.length / 2), { mode });
      }),
      move: guard(stateFolder.move),
      sync: guard(stateFolder.sync),
      removeEmpty: guard(stateFolder.removeEmpty),
      removeWhole: guard(stateFolder.removeWhole),
      list: guard(stateFolder.list),
    };
  }

  const committedKey = (folder: string): string | undefined =>
    ['.first-start/ca-key.pem', 'ca-key.pem']
      .map((name) => join(folder, name))
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path, 'utf8'))[0];

  it('at any step leaves no CA or a whole one, which is the one from then on', async function () {
    const counted = { steps: 0 };
    await openRoots(options(join(temporaryFolder(this), 'count'), { state: dyingAt(Infinity, counted) }));
    const total = counted.steps;
    assert.ok(total >= 15, `only ${total} steps`);
    let recovered = 0;
    for (let step = 1; step <= total; step += 1) {
      const folder = join(temporaryFolder(this), 'ca');
      await assert.rejects(openRoots(options(folder, { state: dyingAt(step, { steps: 0 }) })), /dead/);
      const committed = committedKey(folder);
      const material = await openRoots(options(folder));
      const key = readFileSync(join(folder, 'ca-key.pem'), 'utf8');
      if (committed !== undefined) {
        recovered += 1;
        assert.equal(key, committed, `step ${step}: the CA that existed was replaced`);
      }
      assert.deepEqual((await openRoots(options(folder))).certificate, material.certificate, `step ${step}`);
      assert.deepEqual(readdirSync(folder).sort(), FILES, `step ${step} left something behind`);
    }
    assert.ok(recovered >= 5 && recovered < total, `${recovered} of ${total} were recovered`);
  });

  it('of the machine finds everything on the disk before the CA exists, and before it is used', async function () {
    const steps: string[] = [];
    const folder = join(temporaryFolder(this), 'ca');
    const short = (path: string): string => path.slice(folder.length).replace(/(first-start)\.\w+/, '$1.x');
    await openRoots(
      options(folder, {
        state: {
          ...stateFolder,
          write: (path, text, mode) => stateFolder.write(path, text, mode).finally(() => steps.push(`write`)),
          move: (from, to) => stateFolder.move(from, to).finally(() => steps.push(`move ${short(to)}`)),
          sync: (path) => stateFolder.sync(path).finally(() => steps.push(`sync ${short(path)}`)),
        },
      }),
    );
    const moves = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'].map((name) => `move /${name}`);
    const made = ['write', 'write', 'write', 'write', 'sync /.first-start.x', 'move /.first-start', 'sync '];
    assert.deepEqual(steps.slice(1), [...made, ...moves, 'sync ', 'sync ']);
  });

  it('a second time while it is being finished is finished all the same', async function () {
    for (let step = 1; step <= 8; step += 1) {
      const folder = join(temporaryFolder(this), 'ca');
      const first = await openRoots(options(folder));
      mkdirSync(join(folder, '.first-start'), { mode: 0o700 });
      for (const name of ['ca-key.pem', 'cert-chain.pem']) {
        cpSync(join(folder, name), join(folder, '.first-start', name));
        rmSync(join(folder, name));
      }
      await openRoots(options(folder, { state: dyingAt(step, { steps: 0 }) })).catch(() => undefined);
      assert.deepEqual((await openRoots(options(folder))).certificate, first.certificate);
      assert.deepEqual(readdirSync(folder).sort(), FILES);
    }
  });

  it('gives way to a CA that a person restored meanwhile', async function () {
    const restored = join(temporaryFolder(this), 'restored');
    const wanted = await openRoots(options(restored));
    const folder = join(temporaryFolder(this), 'ca');
    await openRoots(options(folder));
    const staged = join(folder, '.first-start');
    mkdirSync(staged);
    for (const name of FILES) {
      cpSync(join(folder, name), join(staged, name));
      cpSync(join(restored, name), join(folder, name));
    }
    const logger = new RecordingLogger();
    assert.deepEqual((await openRoots(options(folder, { logger }))).certificate, wanted.certificate);
    assert.ok(!existsSync(staged));
    assert.match(logger.text, /never used/);
  });

  it('and was half moved does not mix with the files of another CA', async function () {
    const other = join(temporaryFolder(this), 'other');
    await openRoots(options(other));
    const folder = join(temporaryFolder(this), 'ca');
    await openRoots(options(folder));
    const staged = join(folder, '.first-start');
    mkdirSync(staged);
    cpSync(join(folder, 'ca-key.pem'), join(staged, 'ca-key.pem'));
    cpSync(join(other, 'ca-key.pem'), join(folder, 'ca-key.pem'));
    await assert.rejects(openRoots(options(folder)), refusedWith('ca_files_incomplete'));
    assert.ok(existsSync(join(staged, 'ca-key.pem')), 'nothing is thrown away');
  });

  it('for want of rights says so and makes nothing', async function () {
    const folder = join(temporaryFolder(this), 'file');
    writeFileSync(folder, 'not a folder');
    await assert.rejects(openRoots(options(folder)), /ENOTDIR/);
    assert.equal(readFileSync(folder, 'utf8'), 'not a folder');
  });
});
