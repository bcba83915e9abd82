import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createTokenIssuer } from '../../src/token/issuer.ts';
import { CATALOG_HOST, CatalogMesh } from '../fakes/catalog-mesh.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { realClock } from '../fakes/real-clock.ts';
import { httpCall } from './http-call.ts';
import { RunningProxy } from './running-proxy.ts';

/** How often something is killed; a soak may ask for more. */
const ROUNDS = Math.min(20, Number(process.env['KILL_ROUNDS'] ?? 3));

const deny = (name: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { app: catalog } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/books/${name}*"] } }] }]
`;

describe('a sidecar in bad surroundings', function () {
  this.timeout(120_000);
  let mesh: CatalogMesh;

  beforeEach(async function () {
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
  });
  afterEach(() => mesh.stop());

  /** The sentence with which it ended; exactly one. */
  const lastWord = async (proxy: RunningProxy): Promise<{ code: number | null; sentence: string }> => {
    const code = await proxy.closed;
    const sentences = proxy.said.filter((line) => line.startsWith('sealwright: '));
    assert.equal(sentences.length, 1, proxy.said.join('\n'));
    return { code, sentence: sentences[0] ?? '' };
  };
  const again = (workload: string, flags: readonly string[] = []): RunningProxy =>
    mesh.adopt(RunningProxy.spawnAgain({ folder: mesh.folder, port: mesh.ca.port, workload, flags }));
  const call = (path = '/books'): Promise<number> =>
    httpCall(mesh.frontAddress, 15_001, { path, headers: { host: CATALOG_HOST } }).then(({ status }) => status);

  it('ends with one sentence where another program has its port', async () => {
    for (const [port, code] of [
      [8080, 2],
      [15_001, 2],
      [15_020, 3],
    ] as const) {
      const foreign = createServer().listen(port, mesh.address);
      await once(foreign, 'listening');
      const proxy = mesh.adopt(await RunningProxy.spawn({ ca: mesh.ca, workload: 'shop/catalog' }));
      const last = await lastWord(proxy);
      assert.equal(last.code, code, last.sentence);
      assert.match(last.sentence, /^sealwright: .*127\.\d+\.\d+\.2.*; (stop|choose) /);
      assert.match(last.sentence, new RegExp(`${port}`));
      await new Promise((resolve) => foreign.close(resolve));
    }
    await mesh.sidecar('shop/catalog');
  });

  it('says which listener is at a place of its own, and takes no such configuration', async () => {
    const proxy = mesh.adopt(
      await RunningProxy.spawn({ ca: mesh.ca, workload: 'shop/front', flags: ['--outbound', ':9100'] }),
    );
    const { reason } = await proxy.logged('a push was refused, and the last good configuration stays');
    assert.match(String(reason), /listener tcp at 127\.\d+\.\d+\.1:9100 is where the sidecar itself listens/);
    assert.match(String(reason), /proxy\.outbound/);
  });

  it('ends with one sentence where its folder cannot be made', async () => {
    writeFileSync(join(mesh.folder, 'file'), '');
    const { code, sentence } = await lastWord(again('shop/catalog', ['--state', 'file/catalog']));
    assert.equal(code, 1);
    assert.match(
      sentence,
      /^sealwright: the folder of the workload cannot be written \(file: ".*file\/catalog", reason/,
    );
    assert.match(sentence, /; give this user write access to it/);
  });

  for (const [what, content, remedy] of [
    ['is missing', undefined, /write one there with "sealwright token create"/],
    ['is empty', '\n', /write one there with "sealwright token create"/],
    ['is no token', 'hello', /token_malformed/],
    ['has expired', 'expired', /token_expired/],
  ] as const) {
    it(`goes on trying where its token ${what}, says what to do, and serves once there is one`, async () => {
      const file = join(mesh.folder, 'token');
      if (content === 'expired') writeFileSync(file, await expiredToken(mesh));
      else if (content !== undefined) writeFileSync(file, content);
      const proxy = again('shop/catalog', ['--token-file', file]);
      const { reason, tokenFile } = await proxy.logged('there is no valid identity');
      const said = `${String(reason)} ${String(tokenFile)}`;
      assert.ok(said.includes(file), said);
      assert.match(said, remedy);
      await eventually(() => proxy.log.filter(({ failures }) => Number(failures) >= 2).length > 0);
      // Nobody can reach anything meanwhile.
      await assert.rejects(httpCall(mesh.address, 8080), /ECONNREFUSED/);
      writeFileSync(file, await mesh.ca.token('shop', 'catalog'));
      await proxy.logged('the sidecar serves');
      assert.ok(!proxy.said.join('\n').includes(readFileSync(file, 'utf8')));
    });
  }

  it('serves on where nobody reads its access log, and says how many lines were lost (memory is bounded)', async () => {
    await mesh.sidecar('shop/catalog');
    const front = await mesh.sidecar('shop/front', ['--access-log', 'all']);
    front.stopReading();
    const lost = async (): Promise<number> => {
      const { body } = await httpCall(mesh.frontAddress, 15_020, { path: '/stats/prometheus' });
      return Number(/^sealwright_access_log_dropped_total (\d+)$/m.exec(body)?.[1] ?? 0);
    };
    const path = `/books/${'x'.repeat(4_000)}`;
    // A pipe and a socket hold some hundred KiB, and a MiB may wait: more than that is lost, and nothing is waited for.
    let calls = 0;
    while ((await lost()) === 0 && calls < 1_000) {
      assert.deepEqual(new Set(await Promise.all(Array.from({ length: 50 }, () => call(path)))), new Set([200]));
      calls += 50;
    }
    assert.ok(calls < 1_000, 'no line was lost: they are kept, and the memory with them');
    assert.equal(await call(), 200);
  });

  it('serves on where the disk is full, says so, and writes again when there is room', async () => {
    await mesh.sidecar('shop/front');
    const full = join(mesh.folder, 'full');
    mkdirSync(full);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', full]).status === 0;
    // Where nothing can be mounted, a folder in the place of the file is as good a reason not to write.
    if (!mounted) {
      console.warn('\n  NOT TESTED with a full disk, which cannot be made here: with a file that cannot be written\n');
      mkdirSync(join(full, 'identity.pem/x'), { recursive: true });
    }
    try {
      const ballast = join(full, 'ballast');
      if (mounted) spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k'], { stdio: 'ignore' });
      const token = join(mesh.folder, 'token');
      writeFileSync(token, await mesh.ca.token('shop', 'catalog'));
      const flags = ['--token-file', token, '--state', 'full', '--certificate-ttl', '10s'];
      const proxy = again('shop/catalog', flags);
      const { reason } = await proxy.logged('the identity could not be saved');
      assert.match(String(reason), mounted ? /ENOSPC/ : /EISDIR|ENOTEMPTY/);
      assert.match(String(reason), /full.*; give this user write access|full.*; make room/);
      await proxy.logged('the sidecar serves');
      await eventually(async () => (await call()) === 200);
      rmSync(mounted ? ballast : join(full, 'identity.pem'), { recursive: true });
      // With the next renewal, without a restart.
      await proxy.logged('identity renewed');
      await eventually(() => readIfThere(join(full, 'identity.pem')).includes('PRIVATE KEY'));
      assert.equal(await call(), 200);
      await proxy.stop('SIGKILL');
    } finally {
      if (mounted) spawnSync('umount', ['-l', full]);
    }
  });

  it('starts from its last good state, without the CA, however it was killed while it wrote (slow) (invariant 9)', async () => {
    const front = await mesh.sidecar('shop/front');
    const catalog = await mesh.sidecar('shop/catalog', ['--certificate-ttl', '10s']);
    await eventually(async () => (await call()) === 200);
    await catalog.stop('SIGKILL');
    const [policy, kept] = ['resources/deny.yaml', 'workloads/shop/catalog/last-good.json'].map((name) =>
      join(mesh.folder, name),
    );
    assert.ok(policy !== undefined && kept !== undefined);
    for (let round = 0; round < ROUNDS; round += 1) {
      const running = again('shop/catalog', ['--certificate-ttl', '10s']);
      await running.logged('the sidecar serves');
      // It saves half a second after each change: killed a moment before, in the midst of it, or a moment after.
      writeFileSync(policy, deny(`p${round}`));
      await eventually(async () => (await call(`/books/p${round}`)) === 403);
      await pause(480 + Math.random() * 60);
      await running.stop('SIGKILL');
    }
    await mesh.ca.stop('SIGKILL');
    const last = again('shop/catalog');
    await last.logged('the sidecar serves');
    assert.deepEqual(
      last.log.filter(({ message }) => String(message).includes('cannot be used')),
      [],
    );
    await eventually(async () => (await call()) === 200);
    // What it kept is a whole state of one moment or the other: it is never without a policy.
    const held = readFileSync(kept, 'utf8');
    assert.ok(held.endsWith('\n'));
    assert.equal(await call('/admin'), 403);
    assert.equal(await front.stop(), 0);
  });

  it('loses no request to a CA that is killed again and again while it renews (slow) (invariant 9)', async () => {
    const flags = ['--certificate-ttl', '10s'];
    const sidecars = [await mesh.sidecar('shop/catalog', flags), await mesh.sidecar('shop/front', flags)];
    await eventually(async () => (await call()) === 200);
    const enough = new AbortController();
    let sent = 0;
    const wrong: unknown[] = [];
    const load = (async (): Promise<void> => {
      while (!enough.signal.aborted) {
        sent += 1;
        const status = await call().catch((error: unknown) => String(error));
        if (status !== 200) wrong.push(status);
        await pause(5);
      }
    })();
    for (let round = 0; round < ROUNDS; round += 1) {
      await mesh.restartCa('SIGKILL');
      await pause(500 + Math.random() * 2_000);
    }
    const renewals = sidecars.map(({ log }) => log.filter(({ message }) => message === 'identity renewed').length);
    for (const [index, sidecar] of sidecars.entries()) {
      await eventually(
        () => sidecar.log.filter(({ message }) => message === 'identity renewed').length > (renewals[index] ?? 0),
        15_000,
      );
    }
    enough.abort();
    await load;
    assert.deepEqual(wrong, []);
    assert.ok(sent > 100, `${sent}`);
    console.log(`      the CA killed ${ROUNDS} times: ${sent} requests, none lost`);
  });
});

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** By the key of the CA's own issuer, two hours ago, for an hour. */
async function expiredToken(mesh: CatalogMesh): Promise<string> {
  const issuer = await createTokenIssuer({
    privateKey: createPrivateKey(readFileSync(join(mesh.folder, 'ca/token-key.pem'))),
    url: 'https://localhost:15012',
    clock: { ...realClock, now: () => Date.now() - 7_200_000 },
    randomBytes,
  });
  return issuer.mint({ namespace: 'shop', serviceAccount: 'catalog' }).token;
}
