import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { CaRoots } from '../../src/workload/ca-roots.ts';
import type { HeldIdentity } from '../../src/workload/held-identity.ts';
import { IdentityKeeper, type IdentityKeeperOptions } from '../../src/workload/identity-keeper.ts';
import { FakeClock } from '../fakes/clock.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { RunningCa } from '../fakes/running-ca.ts';

const DAY = 86_400_000;
const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';

describe('the identity of a workload, kept with a real CA', function () {
  this.timeout(30_000);
  let caFolder: string;
  let ca: RunningCa;
  let port: number;
  let folder: string;
  let tokenFile: string;
  let clock: FakeClock;
  let logger: RecordingLogger;
  const keepers: IdentityKeeper[] = [];

  before(async function () {
    caFolder = temporaryFolder(this);
    ca = await RunningCa.start(caFolder);
    port = ca.port;
  });
  after(() => ca.stop());
  beforeEach(async function () {
    folder = join(temporaryFolder(this), 'catalog');
    mkdirSync(folder);
    tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, `${await ca.token('shop', 'catalog')}\n`);
    clock = new FakeClock(Date.now());
    logger = new RecordingLogger();
  });
  afterEach(async () => {
    for (const keeper of keepers.splice(0)) await keeper.close();
  });

  const open = async (change: Partial<IdentityKeeperOptions> = {}): Promise<IdentityKeeper> => {
    const roots = await CaRoots.open({ file: join(caFolder, 'ca/root-cert.pem'), folder });
    const keeper = await IdentityKeeper.open({
      ca: { address: `localhost:${port}`, serverName: undefined, roots, tokenFile, clusterId: 'Kubernetes' },
      trustDomain: parseTrustDomain('cluster.local'),
      lifetime: DAY,
      folder,
      clock,
      random: () => 0.5,
      logger,
      ...change,
    });
    keepers.push(keeper);
    return keeper;
  };
  const held = (keeper: IdentityKeeper): HeldIdentity => keeper.current() ?? assert.fail('there is no identity');
  const obtained = async (keeper: IdentityKeeper, before?: HeldIdentity): Promise<HeldIdentity> => {
    await eventually(() => keeper.current() !== before && keeper.renewalAt !== undefined);
    return held(keeper);
  };
  const failed = (keeper: IdentityKeeper, times: number): Promise<void> =>
    eventually(() => keeper.problem?.failures === times && keeper.renewalAt !== undefined);
  const toNextTry = (keeper: IdentityKeeper): void =>
    clock.advance((keeper.renewalAt ?? assert.fail('a try is under way')) - clock.now());
  const saved = (): string => readFileSync(join(folder, 'identity.pem'), 'utf8');
  const restartCa = async (): Promise<void> => {
    ca = await RunningCa.start(caFolder, ['--ca-listen', `127.0.0.1:${port}`]);
  };

  it('is obtained with the token, and kept for its owner alone', async () => {
    const keeper = await open();
    const identity = await obtained(keeper);
    assert.equal(identity.identity.toString(), CATALOG);
    assert.ok(keeper.usable);
    await eventually(() => existsSync(join(folder, 'identity.pem')));
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    for (const name of readdirSync(folder).filter((each) => each !== 'token')) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
    const leaf = new X509Certificate(identity.chainPem);
    assert.equal(leaf.subjectAltName, `URI:${CATALOG}`);
    assert.ok(leaf.checkPrivateKey((await import('node:crypto')).createPrivateKey(identity.keyPem)));
  });

  it('says its key and the token nowhere, and sends no key to the CA (invariant 2)', async () => {
    const identity = await obtained(await open());
    const key = identity.keyPem.split('\n')[1] ?? assert.fail();
    const token = readFileSync(tokenFile, 'utf8').trim();
    const said = [logger.text, JSON.stringify(ca.log), JSON.stringify(identity), inspect(identity)].join('\n');
    assert.ok(said.includes(CATALOG));
    for (const secret of [key, token]) assert.ok(!said.includes(secret));
    for (const name of readdirSync(join(caFolder, 'ca'))) {
      if (name.endsWith('.sock')) continue;
      assert.ok(!readFileSync(join(caFolder, 'ca', name), 'latin1').includes(key), name);
    }
  });

  it('is renewed at half of its life with another key, by itself alone where the token is gone', async () => {
    const keeper = await open();
    const first = await obtained(keeper);
    const half = (keeper.renewalAt ?? 0) - clock.now();
    assert.ok(half > DAY / 2 - 2_000 && half <= DAY / 2, `renewal in ${half} ms`);
    rmSync(tokenFile);
    clock.advance(half - 1);
    assert.equal(held(keeper), first);
    clock.advance(1);
    const second = await obtained(keeper, first);
    assert.notEqual(second.serial, first.serial);
    assert.notEqual(second.keyPem, first.keyPem);
    assert.equal(second.identity.toString(), CATALOG);
    await eventually(() => saved().includes(second.keyPem));
  });

  it('outlives its CA: what is held is kept, and renewed when the CA is back (invariant 9)', async () => {
    const keeper = await open();
    const first = await obtained(keeper);
    await ca.stop('SIGKILL');
    toNextTry(keeper);
    await failed(keeper, 1);
    assert.equal(held(keeper), first);
    assert.equal(keeper.problem?.code, 'ca_unreachable');
    toNextTry(keeper);
    await failed(keeper, 2);
    assert.equal(held(keeper), first);
    assert.ok(keeper.usable);

    await restartCa();
    toNextTry(keeper);
    const second = await obtained(keeper, first);
    assert.notEqual(second.serial, first.serial);
    assert.equal(keeper.problem, undefined);
  });

  it('goes on trying after it has expired, and is then obtained with the token', async () => {
    const keeper = await open();
    const first = await obtained(keeper);
    await ca.stop('SIGKILL');
    clock.advance(DAY);
    await failed(keeper, 1);
    assert.equal(keeper.usable, false);
    assert.ok(logger.lines.some(({ level, message }) => level === 'error' && message === 'there is no valid identity'));
    await restartCa();
    // Its clock is a day behind ours: what it issues now would be over for us.
    clock = new FakeClock(Date.now());
    const again = await open();
    assert.notEqual((await obtained(again)).serial, undefined);
    assert.equal(first.identity.toString(), CATALOG);
  });

  it('tries a token that the CA refuses again as soon as another one lies there, read anew for each try', async () => {
    const good = readFileSync(tokenFile, 'utf8');
    writeFileSync(tokenFile, `${good.trim().slice(0, -6)}AAAAAA`);
    const keeper = await open();
    await failed(keeper, 1);
    assert.equal(keeper.problem?.code, 'ca_refused');
    assert.equal(keeper.current(), undefined);
    rmSync(tokenFile);
    toNextTry(keeper);
    await failed(keeper, 2);
    assert.equal(keeper.problem?.code, 'token_file_unreadable');
    writeFileSync(tokenFile, good);
    keeper.retryNow();
    assert.equal((await obtained(keeper)).identity.toString(), CATALOG);
  });

  it('is taken over by a restart without the CA, with what is left of its life', async () => {
    const first = await obtained(await open());
    await eventually(() => existsSync(join(folder, 'identity.pem')) && saved().includes(first.keyPem));
    await keepers.pop()?.close();
    await ca.stop();
    try {
      rmSync(tokenFile);
      clock.advance(DAY / 4);
      const keeper = await open();
      assert.equal(held(keeper).keyPem, first.keyPem);
      assert.equal(held(keeper).chainPem, first.chainPem);
      const left = (keeper.renewalAt ?? 0) - clock.now();
      assert.ok(left > DAY / 4 - 2_000 && left <= DAY / 4, `renewal in ${left} ms`);
    } finally {
      await restartCa();
    }
  });

  for (const [what, spoil] of [
    ['damaged', (text: string) => text.replace('BEGIN CERTIFICATE', 'BEGIN CERTIFICAT')],
    ['cut short', (text: string) => text.slice(0, 300)],
    ['empty', () => ''],
    ['without roots', (text: string) => text.slice(0, text.indexOf('# The roots'))],
  ] as const) {
    it(`is obtained anew where the file is ${what}`, async () => {
      const first = await obtained(await open());
      await eventually(() => existsSync(join(folder, 'identity.pem')) && saved().includes(first.keyPem));
      await keepers.pop()?.close();
      writeFileSync(join(folder, 'identity.pem'), spoil(saved()));
      assert.notEqual((await obtained(await open())).serial, first.serial);
      assert.ok(!logger.text.includes(first.keyPem.split('\n')[1] ?? assert.fail()));
    });
  }

  it('leaves no key on the disk where it is to be in memory alone (invariant 2)', async () => {
    const identity = await obtained(await open({ folder: undefined }));
    for (const name of readdirSync(folder)) {
      assert.ok(!readFileSync(join(folder, name), 'latin1').includes('PRIVATE KEY'), name);
    }
    assert.ok(identity.keyPem.includes('PRIVATE KEY'));
  });

  it('goes on in memory where the folder cannot be written', async () => {
    writeFileSync(join(folder, 'not-a-folder'), '');
    const keeper = await open({ folder: join(folder, 'not-a-folder') });
    assert.equal((await obtained(keeper)).identity.toString(), CATALOG);
    await eventually(() => logger.text.includes('the identity could not be saved'));
    assert.equal(keeper.problem, undefined);
  });

  it('becomes that of another account when the token of one is put in its place, and says so', async () => {
    const first = await obtained(await open());
    await eventually(() => existsSync(join(folder, 'identity.pem')) && saved().includes(first.keyPem));
    await keepers.pop()?.close();
    writeFileSync(tokenFile, await ca.token('shop', 'orders'));
    const keeper = await open();
    const second = await obtained(keeper, held(keeper));
    assert.equal(second.identity.toString(), 'spiffe://cluster.local/ns/shop/sa/orders');
    assert.match(logger.text, /the token is for another identity/);
  });

  it('is not taken from a CA of another trust domain', async () => {
    const keeper = await open({ trustDomain: parseTrustDomain('example.org') });
    await failed(keeper, 1);
    assert.equal(keeper.problem?.code, 'identity_unproven');
    assert.equal(keeper.current(), undefined);
    assert.equal(existsSync(join(folder, 'identity.pem')), false);
  });

  it('is asked for at no CA that the root does not vouch for', async () => {
    const file = join(folder, 'other-root.pem');
    const { createTestAuthority } = await import('../wire/certificates.ts');
    writeFileSync(file, (await createTestAuthority()).root);
    const roots = await CaRoots.open({ file });
    const access = { address: `localhost:${port}`, serverName: undefined, roots, tokenFile, clusterId: 'Kubernetes' };
    const keeper = await open({ ca: access });
    await failed(keeper, 1);
    assert.equal(keeper.problem?.code, 'ca_unreachable');
  });

  it('ends in the middle of a try', async () => {
    const keeper = await open();
    await keeper.close();
    assert.equal(clock.nextDue, undefined);
  });
});
