import { strict as assert } from 'node:assert';
import { readSources, roomOf } from './sources.ts';

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
};

/** Rooms that take values and return values: no file, socket, process or timer of Node's. */
const PURE = ['src/core', 'src/identity', 'src/policy'];
const PURE_MAY_IMPORT = ['node:net', 'node:buffer'];

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
    const real =
      /\bprocess\.(env|argv|hrtime|stdout|stderr|stdin|exit|cwd|on)\b|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\(|(?<![.\w])setTimeout\(|(?<![.\w])setInterval\(/;
    const problems = problemsOf((source) => {
      const composes =
        source.room === 'src/cli' ||
        source.file === 'ca/server.ts' ||
        source.file === 'proxy/server.ts' ||
        source.file.endsWith('-worker.ts');
      if (composes) return [];
      return source.text
        .split('\n')
        .flatMap((line, index) =>
          real.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line) ? [`${source.file}:${index + 1} ${line.trim()}`] : [],
        );
    });
    assert.deepEqual(problems, []);
  });
});
