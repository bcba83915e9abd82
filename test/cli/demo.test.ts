import { strict as assert } from 'node:assert';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { checkPlaces } from '../../src/cli/demo/check-places.ts';
import { freePlacement } from '../../src/cli/demo/topology.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { BINARY, sealwright } from '../fakes/running-ca.ts';
import { PROJECT } from '../structure/sources.ts';
import { runCommand } from './command-run.ts';

const SAMPLES = join(PROJECT, 'manifests/samples');
/** For a user's own mesh, each whole by itself; the demo does not run them. */
const EXAMPLES = join(PROJECT, 'manifests/examples');

/** Processes that were started in a folder, or below it. */
function processesIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readlinkSync(`/proc/${name}/cwd`).startsWith(folder) && readFileSync(`/proc/${name}/cmdline`).length > 0;
      } catch {
        return false;
      }
    });
}

describe('the samples', () => {
  it('are in order, each by itself', async () => {
    const files = readdirSync(SAMPLES).filter((name) => name.endsWith('.yaml'));
    for (const policy of ['strict', 'deny-all', 'allow-frontend-catalog', 'allow-catalog-orders']) {
      assert.ok(files.includes(`${policy}.yaml`), policy);
    }
    assert.ok(files.includes('allow-orders-stock.yaml') && files.includes('deny-delete.yaml'));
    const examples = readdirSync(EXAMPLES);
    assert.deepEqual(examples.toSorted(), ['destination-rule.yaml', 'ext-authz.yaml', 'require-jwt.yaml']);
    for (const [folder, names] of [
      [SAMPLES, files],
      [EXAMPLES, examples],
    ] as const) {
      for (const file of names) {
        const { code, stderr, stdout } = await runCommand(folder, ['policy', 'validate', file]);
        assert.equal(code, 0, stdout);
        assert.match(stderr, /^1 file, [1-9]\d* resources? in order, 0 errors, 0 warnings$/m, `${file}: ${stdout}`);
      }
    }
  });
});

describe('the demo (slow)', function () {
  this.timeout(120_000);
  let folder: string;

  before(function () {
    // The loopback addresses of the services, and the list of processes, are Linux'.
    if (process.platform !== 'linux') this.skip();
  });

  beforeEach(function () {
    folder = temporaryFolder(this);
  });

  it('checks all that it shows, ends with 0, and leaves neither a process nor a file', async () => {
    const { code, stdout, stderr } = await sealwright(folder, ['demo', '--once']);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^ {2}shop\/frontend +- +200 \[1\] +403 \[2\] +closed \[3\]$/m);
    assert.match(stdout, /^ {2}\[\d+\] +DENY shop\/deny-delete rule 0 +resources\/deny-delete\.yaml:\d+:\d+$/m);
    assert.match(stdout, /^ {2}GET \/products\/secret +200 +403$/m);
    assert.match(stdout, /^ {2}requests through all four sidecars +[1-9]\d{2,} +0 +4 +0$/m);
    const [, checked = '0'] = /^ {2}(\d+) outcomes checked, 0 wrong, in \d+\.\d s\.$/m.exec(stdout) ?? [];
    assert.ok(Number(checked) > 60, checked);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
    assert.ok(!stdout.includes('\u001b'), 'colours are for terminals');
    assert.deepEqual(processesIn(folder), []);
    assert.deepEqual(readdirSync(join(folder, '.sealwright')), []);
  });

  it('ends with 1 where the samples do something else than they should, and says what', async () => {
    const samples = join(folder, 'samples');
    cpSync(SAMPLES, samples, { recursive: true });
    const file = join(samples, 'allow-orders-stock.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('sa/orders', 'sa/catalog'));
    const { code, stdout } = await sealwright(folder, ['demo', '--once', '--samples', samples]);
    assert.equal(code, 1, stdout);
    assert.match(stdout, /^ {2}shop\/catalog .* answered \[\d+\] NOT AS MEANT$/m);
    assert.match(stdout, /^ {2}wrong: shop\/orders -> data\/stock$/m);
  });

  describe('that is ended', () => {
    let child: ChildProcess;
    let said: string;

    let hears: () => void;

    const start = (): void => {
      // A group of its own, as in a terminal, where Ctrl-C is for all of the group.
      child = spawn(process.execPath, [BINARY, 'demo', '--free-ports'], { cwd: folder, detached: true });
      said = '';
      hears = () => undefined;
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on('data', (data: Buffer) => {
          said += data.toString();
          hears();
        });
      }
      child.once('close', () => hears());
    };
    const says = async (text: string): Promise<void> => {
      while (!said.includes(text)) {
        assert.equal(child.exitCode, null, said);
        await new Promise<void>((resolve) => (hears = resolve));
      }
    };
    const nothingIsLeft = (): Promise<void> => eventually(() => processesIn(folder).length === 0, 10_000);

    afterEach(() => {
      for (const pid of processesIn(folder)) process.kill(Number(pid), 'SIGKILL');
    });

    it('stays up until Ctrl-C, then ends with 0 and leaves no process', async () => {
      start();
      await says('Ctrl-C');
      assert.ok(processesIn(folder).length >= 10);
      const closed = once(child, 'close');
      process.kill(-(child.pid ?? 0), 'SIGINT');
      assert.deepEqual(await closed, [0, null], said);
      assert.deepEqual(processesIn(folder), []);
    });

    it('leaves no process after SIGTERM in the midst of its start', async () => {
      start();
      await eventually(() => existsSync(join(folder, '.sealwright')) && processesIn(folder).length > 3, 60_000);
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      assert.deepEqual(await closed, [0, null], said);
      await nothingIsLeft();
    });

    it('leaves no process when it is killed', async () => {
      start();
      await says('Who may call whom');
      child.kill('SIGKILL');
      await nothingIsLeft();
    });
  });

  it('says in one sentence that another one runs in the folder', async () => {
    mkdirSync(join(folder, '.sealwright'));
    const other = createServer((socket) => socket.destroy()).listen(join(folder, '.sealwright/demo.lock'));
    await once(other, 'listening');
    const { code, stdout, stderr } = await sealwright(folder, ['demo']);
    other.close();
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^sealwright: another demo runs in this folder .*--free-ports.*\n$/);
  });
});

describe('the places of the demo', () => {
  it('are looked at before anything starts: one that is taken, or missing, is named', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const free = freePlacement(() => 7);
    await assert.rejects(checkPlaces({ ...free, caListen: `127.0.0.1:${port}` }), {
      code: 'demo_place_taken',
      fields: { address: '127.0.0.1', port, reason: 'EADDRINUSE' },
    });
    server.close();
    // RFC 5737: documentation, and no machine's.
    await assert.rejects(checkPlaces({ ...free, network: '192.0.2' }), { code: 'demo_address_missing' });
  });
});
