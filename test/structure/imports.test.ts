import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT, readSources, roomOf } from './sources.ts';

/** Design section 2, rule 1: an import may point only to a lower rank, and to the own room. */
const RANKS: Readonly<Record<string, number>> = {
  'src/core': 0,
  'src/identity': 1,
  'src/pki': 2,
  'src/token': 2,
  'src/policy': 2,
  'src/wire': 3,
  'src/kubernetes': 3,
  'src/observe': 3,
  'src/config': 3,
  'src/resources': 4,
  'src/workload': 4,
  ca: 5,
  proxy: 5,
  'src/cli': 6,
};

/** Design section 2, rule 3: who alone may import a third-party package. */
const DOORS: Readonly<Record<string, string>> = {
  '@peculiar/x509': 'src/pki',
  'reflect-metadata': 'src/pki',
  'node-forge': 'src/pki',
  jose: 'src/token',
  '@kubernetes/client-node': 'src/kubernetes',
  '@grpc/grpc-js': 'src/wire',
  '@bufbuild/protobuf': 'src/wire',
  'prom-client': 'src/observe',
  pino: 'src/observe',
  zod: 'src/config',
  yaml: 'src/config',
  hono: 'ca/operator',
  '@hono/node-server': 'ca/operator',
  commander: 'src/cli',
  koffi: 'proxy/intercept',
};

/** Rooms that take values and return values: no file, socket, process or timer of Node's. */
const PURE = ['src/core', 'src/identity', 'src/policy'];
const PURE_MAY_IMPORT = ['node:net', 'node:buffer'];

/**
 * Inside the two programs: a folder may import folders of lower rank. Files that stand beside the folders are wiring
 * and above all of them.
 */
const FOLDER_RANKS: Readonly<Record<string, number>> = {
  'ca/roots': 0,
  'ca/key-sets': 0,
  'ca/authenticators': 1,
  'ca/ledger': 1,
  'ca/issuance': 2,
  'ca/distribution': 2,
  'ca/operator': 3,
  'ca/controllers': 3,
  'proxy/tcp': 0,
  'proxy/listen': 0,
  'proxy/agent': 0,
  'proxy/upstream': 1,
  'proxy/intercept': 2,
  'proxy/http1': 2,
  'proxy/inbound': 3,
  'proxy/decisions': 3,
  'proxy/status': 4,
  'proxy/report': 4,
  'proxy/outbound': 5,
  'proxy/authorize': 6,
  'proxy/workers': 7,
};

/** Why a file of one program may not import another of it, or undefined. */
function folderProblem(from: string, to: string): string | undefined {
  const folders = [from, to].map((file) => file.split('/').slice(0, -1).slice(0, 2).join('/'));
  const [own = '', other = ''] = folders;
  if (own === other || !own.includes('/')) return undefined;
  if (!other.includes('/')) return `${from} imports the wiring, ${to}`;
  const [rank, otherRank] = folders.map((folder) => FOLDER_RANKS[folder]);
  const allowed = rank !== undefined && otherRank !== undefined && otherRank < rank;
  return allowed ? undefined : `${from} imports ${to}`;
}

/** The entry files of worker threads. */
const WORKERS = ['ca/ledger/ledger-reader-worker.ts', 'ca/ledger/ledger-worker.ts', 'proxy/data-thread-worker.ts'];

const REAL = [
  /\bprocess\.(?:env|argv|hrtime|stdout|stderr|stdin|exit|cwd|on)\b/,
  /\bprocess\s*\[|\bglobalThis\b|\{[^}]*\}\s*=\s*process\b|['"]node:process['"]/,
  // Also as a value: handing `Date.now` on is reading the clock.
  /\bDate\.now\b|\bnew Date\(\)|\bDate\(\)|\bMath\.random\b|\bperformance\b\s*[.[]/,
  /(?<![.\w])(?:setTimeout|setInterval)\(/,
];

/** Whether a line of code, not of a comment, takes hold of what exists once in a process. */
function readsTheReal(line: string): boolean {
  return !/^\s*(?:\*|\/\/|\/\*)/.test(line) && REAL.some((pattern) => pattern.test(line));
}

/** An import whose module no test can know before it runs. */
const COMPUTED_IMPORT = /(?<![\w.])import\(\s*(?!['"]|\s)|(?<![\w.])require\(|\bcreateRequire\b/;

describe('the structure of the source', () => {
  const sources = readSources('src', 'ca', 'proxy').filter((source) => !source.file.startsWith('src/wire/gen/'));
  const problemsOf = (find: (source: (typeof sources)[number]) => string[]): string[] => sources.flatMap(find);

  it('is really read', () => {
    assert.ok(sources.length >= 11, `only ${sources.length} files were read`);
    assert.ok(sources.flatMap((source) => source.imports).length >= 5, 'hardly any import was found');
  });

  it('imports one way only, between rooms of different rank', () => {
    const problems = problemsOf((source) =>
      source.imports.flatMap(({ target, line }) => {
        if (target === undefined) return [];
        const to = roomOf(target);
        if (to === source.room) return [];
        const [from, rank] = [RANKS[source.room], RANKS[to]];
        const allowed = from !== undefined && rank !== undefined && rank < from;
        return allowed ? [] : [`${source.file}:${line} imports ${target}`];
      }),
    );
    assert.deepEqual(problems, []);
  });

  it('imports one way only between the folders of a program', () => {
    const problems = problemsOf(({ file, room, imports }) =>
      imports.flatMap(({ target }) => {
        if (target === undefined || roomOf(target) !== room || !['ca', 'proxy'].includes(room)) return [];
        return folderProblem(file, target) ?? [];
      }),
    );
    assert.deepEqual(problems, []);
    assert.equal(folderProblem('ca/issuance/a.ts', 'ca/roots/b.ts'), undefined);
    assert.equal(folderProblem('ca/server.ts', 'ca/roots/b.ts'), undefined);
    for (const to of ['ca/issuance/b.ts', 'ca/server.ts', 'ca/unknown/b.ts'])
      assert.ok(folderProblem('ca/roots/a.ts', to));
  });

  it('has no import cycle between files', () => {
    const edges = new Map(sources.map((source) => [source.file, source.imports.flatMap(({ target }) => target ?? [])]));
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (file: string, trail: string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
        return;
      }
      state.set(file, 'open');
      for (const next of edges.get(file) ?? []) visit(next, [...trail, file]);
      state.set(file, 'done');
    };
    for (const file of edges.keys()) visit(file, []);
    assert.deepEqual(cycles, []);
  });

  it('reaches each third-party package through its one door', () => {
    const problems = problemsOf((source) =>
      source.imports.flatMap(({ specifier, target, line }) => {
        if (target !== undefined || specifier.startsWith('node:')) return [];
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
        const door = DOORS[name];
        if (door === undefined) return [`${source.file}:${line} imports ${name}, which has no door`];
        const inside = source.file.startsWith(`${door}/`);
        return inside ? [] : [`${source.file}:${line} imports ${name}, whose door is ${door}`];
      }),
    );
    assert.deepEqual(problems, []);
  });

  it('names every relative import with its .ts ending', () => {
    const problems = [...sources, ...readSources('test')].flatMap((source) =>
      source.imports.flatMap(({ specifier, target, line }) =>
        target === undefined || /\.(ts|json)$/.test(specifier) ? [] : [`${source.file}:${line} imports ${specifier}`],
      ),
    );
    assert.deepEqual(problems, []);
  });

  it('keeps the pure rooms free of input and output', () => {
    const problems = problemsOf((source) => {
      if (!PURE.includes(source.room)) return [];
      return source.imports.flatMap(({ specifier, line }) =>
        specifier.startsWith('node:') && !PURE_MAY_IMPORT.includes(specifier)
          ? [`${source.file}:${line} imports ${specifier}`]
          : [],
      );
    });
    assert.deepEqual(problems, []);
  });

  it('reads the environment, the clock and randomness only where parts are put together', () => {
    const problems = problemsOf((source) => {
      const composes =
        source.room === 'src/cli' ||
        source.file === 'ca/server.ts' ||
        source.file === 'proxy/server.ts' ||
        WORKERS.includes(source.file);
      if (composes) return [];
      return source.text
        .split('\n')
        .flatMap((line, index) => (readsTheReal(line) ? [`${source.file}:${index + 1} ${line.trim()}`] : []));
    });
    assert.deepEqual(problems, []);
  });

  it('knows the real ones in whatever way they are written', () => {
    const bad = ["process['env']", 'globalThis.process.env', 'const { env } = process;', 'now: Date.now,', 'Date()'];
    bad.push('random: Math.random', 'const at = performance.now;', 'new Date()', 'setTimeout(f, 1)', 'process.env');
    bad.push("import { env } from 'node:process';");
    for (const line of bad) assert.ok(readsTheReal(line), line);
    const good = [
      'clock.now()',
      'new Date(time)',
      '// Date.now',
      ' * process.env',
      'this.setTimeout(1)',
      'processed.env',
    ];
    for (const line of good) assert.ok(!readsTheReal(line), line);
  });

  it('imports nothing by a name that is computed', () => {
    const problems = problemsOf(({ file, text }) => (COMPUTED_IMPORT.test(text) ? [file] : []));
    assert.deepEqual(problems, []);
    for (const line of ['await import(name)', 'import(`./${x}.ts`)', "require('a')", 'createRequire(here)'])
      assert.ok(COMPUTED_IMPORT.test(line), line);
    for (const line of ["await import('./a.ts')", "load: () => import('./a.ts')", 'x.require()'])
      assert.ok(!COMPUTED_IMPORT.test(line), line);
  });

  it('is written in files that are read here', () => {
    const others = ['src', 'ca', 'proxy'].flatMap((folder) =>
      readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' }).filter((name) =>
        /\.(?:[cm]ts|[cm]?js|tsx|jsx)$/.test(name),
      ),
    );
    assert.deepEqual(others, []);
  });
});
