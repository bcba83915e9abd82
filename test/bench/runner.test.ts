import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PROJECT } from '../structure/sources.ts';
import { runBench } from './bench-runner.ts';
import { NotMeasurable, type Figure } from './figure.ts';
import { FIGURES, type RegisteredFigure } from './figures.ts';
import { processCpu } from './process-cpu.ts';

const HALF: Figure = { ours: 55.04, peer: 110.1, unit: 'us/call', peerName: 'the other one', notes: ['seen twice'] };
const ALONE: Figure = { ours: 1234.5, peer: null, unit: 'calls/s', peerName: null, peerAbsent: 'not on the PATH' };

interface Ran {
  readonly code: number;
  readonly stdout: string[];
  readonly stderr: string[];
  readonly files: Map<string, string>;
  readonly loaded: string[];
}

async function run(...args: string[]): Promise<Ran> {
  const ran = {
    stdout: [] as string[],
    stderr: [] as string[],
    files: new Map<string, string>(),
    loaded: [] as string[],
  };
  const registered = (name: string, take: () => Promise<Figure>): RegisteredFigure => ({
    what: `what ${name} measures`,
    load: async () => {
      ran.loaded.push(name);
      return take;
    },
  });
  const code = await runBench(args, {
    figures: {
      half: registered('half', async () => HALF),
      alone: registered('alone', async () => ALONE),
      absent: registered('absent', () => Promise.reject(new NotMeasurable('there is no taskset'))),
      broken: registered('broken', () => Promise.reject(new Error('port taken'))),
    },
    stdout: (line) => ran.stdout.push(line),
    stderr: (line) => ran.stderr.push(line),
    writeFile: (path, text) => ran.files.set(path, text),
  });
  return { code, ...ran };
}

describe('the runner of the benchmarks', () => {
  it('prints a table of ours, the peer and their ratio, with what a reader needs below it', async () => {
    const { code, stdout } = await run('half', 'alone');
    assert.equal(code, 0);
    assert.deepEqual(stdout, [
      'figure  ours  peer  ratio  unit     the peer',
      'half    55.0   110   0.50  us/call  the other one',
      'alone   1235     -      -  calls/s  none: not on the PATH',
      '',
      'half: seen twice',
    ]);
  });

  it('writes the figures as JSON, with null for a peer that is absent', async () => {
    const { files } = await run('half', 'alone', '--json', 'figures.json');
    assert.deepEqual(JSON.parse(files.get('figures.json') ?? ''), {
      half: { ours: 55.04, peer: 110.1, ratio: 55.04 / 110.1, unit: 'us/call', peerName: 'the other one' },
      alone: { ours: 1234.5, peer: null, ratio: null, unit: 'calls/s', peerName: null },
    });
  });

  it('loads only what is asked for, and everything where nothing is named', async () => {
    assert.deepEqual((await run('alone')).loaded, ['alone']);
    assert.deepEqual((await run()).loaded, ['half', 'alone', 'absent', 'broken']);
  });

  it('says which figure could not be taken and why, takes the others, and fails', async () => {
    const { code, stdout, files } = await run('absent', 'broken', 'half', '--json', 'out');
    assert.equal(code, 1);
    assert.deepEqual(stdout.slice(-2), [
      'absent was not measured: there is no taskset',
      'broken was not measured: it failed: port taken',
    ]);
    assert.deepEqual(Object.keys(JSON.parse(files.get('out') ?? '') as object), ['half']);
  });

  it('refuses an unknown name, and an unknown option, with the list of what there is', async () => {
    for (const wrong of ['nonsense', '--nonsense', 'toString']) {
      const { code, stderr, stdout, loaded } = await run('half', wrong);
      assert.equal(code, 2);
      assert.match(stderr[0] ?? '', new RegExp(wrong));
      assert.deepEqual(stderr.slice(-4), [
        '  half    what half measures',
        '  alone   what alone measures',
        '  absent  what absent measures',
        '  broken  what broken measures',
      ]);
      assert.deepEqual([stdout, loaded], [[], []]);
    }
  });

  it('names the real figures as a command', () => {
    const script = join(PROJECT, 'test/bench/run.ts');
    const { status, stderr } = spawnSync(process.execPath, [script, 'nonsense'], { encoding: 'utf8' });
    assert.equal(status, 2);
    for (const name of Object.keys(FIGURES)) assert.match(stderr, new RegExp(`^  ${name} `, 'm'));
  });

  it('finds behind every real name something that measures, or why not', async () => {
    for (const { load } of Object.values(FIGURES)) {
      const loaded = await load().catch((error: unknown) => error);
      assert.ok(typeof loaded === 'function' || loaded instanceof NotMeasurable, String(loaded));
    }
  });
});

describe('the CPU of a process', () => {
  it('grows with what the process computes', function () {
    if (process.platform !== 'linux') this.skip();
    const before = processCpu(process.pid);
    const own = process.cpuUsage();
    let spent = 0;
    while (spent < 200_000) {
      const { user, system } = process.cpuUsage(own);
      spent = user + system;
    }
    const grown = processCpu(process.pid) - before;
    // Ticks of 10 ms at both ends.
    assert.ok(Math.abs(grown - spent / 1e6) <= 0.03, `${grown} s against ${spent / 1e6} s`);
  });
});
