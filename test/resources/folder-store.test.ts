import { strict as assert } from 'node:assert';
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Issue } from '../../src/core/issue.ts';
import { FolderStore, type FolderStoreOptions } from '../../src/resources/folder-store.ts';
import type { ResourceChange, ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { FakeClock } from '../fakes/clock.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { policy } from './yaml-resource.ts';

const names = (snapshot: ResourceSnapshot): string[] => snapshot.all.map(({ name }) => name);
const pathOf = (snapshot: ResourceSnapshot, name: string, namespace = 'shop'): string | undefined =>
  /"paths":\["([^"]*)"/.exec(JSON.stringify(snapshot.get({ kind: 'AuthorizationPolicy', namespace, name })?.spec))?.[1];

describe('a folder of resources', () => {
  let folder: string;
  let logger: RecordingLogger;
  const open: FolderStore[] = [];

  beforeEach(function () {
    folder = temporaryFolder(this);
    logger = new RecordingLogger();
  });
  afterEach(async () => {
    for (const store of open.splice(0)) await store.close();
  });

  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  const start = async (options: Partial<FolderStoreOptions> = {}): Promise<FolderStore> => {
    const store = await FolderStore.open({ folder, clock: realClock, logger, ...options });
    open.push(store);
    return store;
  };
  /** The change that an edit brings about. */
  const changeAfter = async (store: FolderStore, edit: () => void): Promise<ResourceChange> => {
    const { promise, resolve } = Promise.withResolvers<ResourceChange>();
    const stop = store.subscribe(resolve);
    edit();
    try {
      return await promise;
    } finally {
      stop();
    }
  };
  const issuesAfter = async (store: FolderStore, edit: () => void): Promise<readonly Issue[]> => {
    const { promise, resolve } = Promise.withResolvers<readonly Issue[]>();
    const stop = store.subscribeToIssues(resolve);
    edit();
    try {
      return await promise;
    } finally {
      stop();
    }
  };

  it('is read when it is opened: YAML and JSON, but no hidden files, no other files, no folders', async () => {
    write('b.yaml', `${policy('b')}---\n${policy('c')}`);
    write('a.json', JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } }));
    write('.hidden.yaml', policy('hidden'));
    write('notes.txt', policy('notes'));
    mkdirSync(join(folder, 'sub.yaml'));
    const store = await start();
    assert.deepEqual(names(store.snapshot), ['b', 'c', 'a']);
    assert.deepEqual(store.issues, []);
    assert.deepEqual(
      store.snapshot.list('AuthorizationPolicy', 'shop').map(({ name }) => name),
      ['b', 'c'],
    );
    assert.deepEqual(store.snapshot.list('Sidecar'), []);
  });

  it('tells what was added, changed and removed, well within a second', async () => {
    write('keep.yaml', policy('keep'));
    const store = await start();
    const begin = performance.now();
    const added = await changeAfter(store, () => write('new.yaml', policy('new')));
    assert.deepEqual([added.added.length, added.changed.length, added.removed.length], [1, 0, 0]);
    const changed = await changeAfter(store, () => write('new.yaml', `# why\n${policy('new', '/changed')}`));
    assert.deepEqual([changed.added.length, changed.changed.length, changed.removed.length], [0, 1, 0]);
    assert.equal(pathOf(changed.snapshot, 'new'), '/changed');
    const removed = await changeAfter(store, () => rmSync(join(folder, 'new.yaml')));
    assert.deepEqual(
      removed.removed.map(({ name }) => name),
      ['new'],
    );
    assert.deepEqual(names(store.snapshot), ['keep']);
    assert.ok(removed.snapshot.revision > changed.snapshot.revision);
    // Three edits, each far below the second that was promised, on a machine that may be busy.
    assert.ok(performance.now() - begin < 3_000);
  });

  it('tells nothing where only comments changed, but knows the new lines', async () => {
    write('a.yaml', policy('a'));
    const store = await start();
    let changes = 0;
    store.subscribe(() => (changes += 1));
    write('a.yaml', `# one\n# two\n${policy('a')}`);
    // The order of events is that of the files, so when the second is seen the first has been read.
    await changeAfter(store, () => write('b.yaml', policy('b')));
    assert.equal(changes, 1);
    const [a] = store.snapshot.all;
    assert.equal(a?.origin.locate('spec')?.line, 8);
  });

  it('follows editors that rename over a file, and ones that rename the old file away first', async () => {
    write('a.yaml', policy('a'));
    const store = await start();
    const over = await changeAfter(store, () => {
      write('.a.tmp', policy('a', '/over'));
      renameSync(join(folder, '.a.tmp'), join(folder, 'a.yaml'));
    });
    assert.equal(pathOf(over.snapshot, 'a'), '/over');
    const away = await changeAfter(store, () => {
      renameSync(join(folder, 'a.yaml'), join(folder, 'a.yaml~'));
      write('a.yaml', policy('a', '/away'));
    });
    assert.deepEqual([away.removed.length, away.changed.length], [0, 1]);
  });

  it('does not take resources away where a file is only renamed', async () => {
    write('a.yaml', policy('a'));
    const store = await start();
    let removed = 0;
    store.subscribe((change) => (removed += change.removed.length));
    renameSync(join(folder, 'a.yaml'), join(folder, 'z.yaml'));
    await changeAfter(store, () => write('b.yaml', policy('b')));
    await changeAfter(store, () => write('b.yaml', policy('b', '/again')));
    await changeAfter(store, () => write('b.yaml', policy('b', '/and-again')));
    assert.equal(removed, 0);
    assert.match(
      store.snapshot.get({ kind: 'AuthorizationPolicy', namespace: 'shop', name: 'a' })?.origin.file ?? '',
      /z\.yaml$/,
    );
  });

  it("follows the kubelet's swap of a symbolic link, more than once", async () => {
    for (const version of ['1', '2', '3']) {
      mkdirSync(join(folder, `..v${version}`));
      writeFileSync(join(folder, `..v${version}`, 'a.yaml'), policy('a', `/${version}`));
    }
    symlinkSync('..v1', join(folder, '..data'));
    symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
    const store = await start();
    assert.equal(pathOf(store.snapshot, 'a'), '/1');
    for (const version of ['2', '3']) {
      const change = await changeAfter(store, () => {
        symlinkSync(`..v${version}`, join(folder, '..data_tmp'));
        renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
      });
      assert.equal(pathOf(change.snapshot, 'a'), `/${version}`);
    }
  });

  it('watches the folder that has the name now, where the folder itself was replaced', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(join(inner, 'a.yaml'), policy('a'));
    const store = await start({ folder: inner, pollInterval: 3_600_000 });
    renameSync(inner, join(folder, 'old'));
    mkdirSync(inner);
    writeFileSync(join(inner, 'a.yaml'), policy('a', '/new'));
    // What the poll does; the watch of the old folder tells nothing of this one.
    const change = await changeAfter(store, () => void store.refresh());
    assert.equal(pathOf(change.snapshot, 'a'), '/new');
    const later = await changeAfter(store, () => writeFileSync(join(inner, 'b.yaml'), policy('b')));
    assert.deepEqual(
      later.added.map(({ name }) => name),
      ['b'],
    );
  });

  it('reads a file only after it has lain still, so that half a write takes nothing away (invariant 5)', async () => {
    const still = new FakeClock();
    write('a.yaml', `${policy('a')}---\n${policy('b')}`);
    const store = await start({ clock: still });
    write('a.yaml', policy('a'));
    await store.refresh();
    still.advance(30);
    write('a.yaml', `${policy('a')}---\n${policy('b')}---\n${policy('c')}`);
    await store.refresh();
    still.advance(30);
    await store.refresh();
    assert.deepEqual(names(store.snapshot), ['a', 'b']);
    still.advance(30);
    await store.refresh();
    assert.deepEqual(names(store.snapshot), ['a', 'b', 'c']);
  });

  it('keeps what was in force where a file goes bad, says so, and takes the mended file (invariant 5)', async () => {
    write('a.yaml', `${policy('a')}---\n${policy('b')}`);
    const store = await start();
    const bad = await issuesAfter(store, () =>
      write('a.yaml', `${policy('a', '/changed')}---\n${policy('b')}bad: [\n`),
    );
    assert.deepEqual(
      bad.map(({ code }) => code),
      ['yaml_syntax'],
    );
    assert.ok(bad.every(({ line }) => (line ?? 0) > 20));
    assert.deepEqual(names(store.snapshot), ['a', 'b']);
    assert.equal(pathOf(store.snapshot, 'a'), '/admin');
    assert.ok(logger.lines.some(({ level, message }) => level === 'error' && message.startsWith('resource refused')));
    const mended = await changeAfter(store, () => write('a.yaml', policy('a', '/mended')));
    assert.equal(pathOf(mended.snapshot, 'a'), '/mended');
    assert.deepEqual(
      mended.removed.map(({ name }) => name),
      ['b'],
    );
    assert.deepEqual(store.issues, []);
  });

  it('keeps what was in force where a validator refuses, and where one throws (invariant 5)', async () => {
    write('a.yaml', policy('a'));
    const validators = [
      ({ spec }: { spec: object }): Issue[] => {
        const text = JSON.stringify(spec);
        if (text.includes('/throw')) throw new Error('bug');
        if (!text.includes('/bad')) return [];
        return [{ severity: 'error', code: 'policy_bad', message: 'bad', remedy: 'mend it', path: 'spec.rules[0]' }];
      },
    ];
    const store = await start({ validators });
    const refused = await issuesAfter(store, () => write('a.yaml', policy('a', '/bad')));
    assert.deepEqual(
      refused.map(({ code, line, column }) => [code, line, column]),
      [['policy_bad', 9, 7]],
    );
    assert.match(refused[0]?.file ?? '', /a\.yaml$/);
    const failed = await issuesAfter(store, () => write('a.yaml', policy('a', '/throw')));
    assert.deepEqual(
      failed.map(({ code }) => code),
      ['resource_check_failed'],
    );
    assert.equal(pathOf(store.snapshot, 'a'), '/admin');
  });

  it('keeps what was in force where a file is cut to nothing, or the folder is gone (invariant 5)', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(join(inner, 'a.yaml'), policy('a'));
    const store = await start({ folder: inner, pollInterval: 20 });
    const cut = await issuesAfter(store, () => truncateSync(join(inner, 'a.yaml')));
    assert.deepEqual(
      cut.map(({ code }) => code),
      ['resource_file_empty'],
    );
    const gone = await issuesAfter(store, () => renameSync(inner, join(folder, 'away')));
    assert.ok(gone.some(({ code }) => code === 'resource_folder'));
    assert.deepEqual(names(store.snapshot), ['a']);
    const back = await issuesAfter(store, () => renameSync(join(folder, 'away'), inner));
    assert.deepEqual(
      back.map(({ code }) => code),
      ['resource_file_empty'],
    );
    assert.deepEqual(names(store.snapshot), ['a']);
  });

  it('takes resources away where their documents are taken out or commented out', async () => {
    write('a.yaml', `${policy('a')}---\n${policy('b')}`);
    const store = await start();
    const out = await changeAfter(store, () => write('a.yaml', policy('a')));
    assert.deepEqual(
      out.removed.map(({ name }) => name),
      ['b'],
    );
    const commented = await changeAfter(store, () => write('a.yaml', policy('a').replaceAll(/^/gm, '# ')));
    assert.deepEqual(
      commented.removed.map(({ name }) => name),
      ['a'],
    );
  });

  it('lets the older of two resources of one name count, until it goes', async () => {
    write('a.yaml', policy('x', '/first'));
    const store = await start();
    const [duplicate, ...more] = await issuesAfter(store, () => write('Z.yaml', policy('x', '/second')));
    assert.deepEqual([duplicate?.code, duplicate?.line, more.length], ['resource_duplicate', 4, 0]);
    assert.match(duplicate?.file ?? '', /Z\.yaml$/);
    assert.equal(pathOf(store.snapshot, 'x'), '/first');
    const edited = await changeAfter(store, () => write('a.yaml', policy('x', '/third')));
    assert.equal(pathOf(edited.snapshot, 'x'), '/third');
    const next = await changeAfter(store, () => rmSync(join(folder, 'a.yaml')));
    assert.equal(pathOf(next.snapshot, 'x'), '/second');
    assert.deepEqual([next.removed.length, next.changed.length], [0, 1]);
    assert.deepEqual(store.issues, []);
  });

  it('does not make a policy younger by editing it', async () => {
    write('a.yaml', policy('a'));
    const store = await start();
    const created = store.snapshot.all[0]?.creationTimestamp;
    const { snapshot } = await changeAfter(store, () => write('a.yaml', policy('a', '/later')));
    assert.equal(snapshot.all[0]?.creationTimestamp, created);
  });

  it('is opened where it is missing, and says so', async () => {
    const store = await start({ folder: join(folder, 'none'), pollInterval: 20 });
    assert.deepEqual(
      store.issues.map(({ code, severity }) => [code, severity]),
      [['resource_folder', 'error']],
    );
    const change = await changeAfter(store, () => {
      mkdirSync(join(folder, 'none'));
      writeFileSync(join(folder, 'none', 'a.yaml'), policy('a'));
    });
    assert.deepEqual(names(change.snapshot), ['a']);
    assert.deepEqual(store.issues, []);
  });

  it('keeps the resources of a file that cannot be looked at any more', async () => {
    write('a.yaml', policy('a'));
    const store = await start();
    // A loop of links: the file is listed, and nothing of it can be read, also by root.
    const issues = await issuesAfter(store, () => {
      rmSync(join(folder, 'a.yaml'));
      symlinkSync('a.yaml', join(folder, 'a.yaml'));
    });
    assert.deepEqual(
      issues.map(({ code }) => code),
      ['resource_file'],
    );
    assert.deepEqual(names(store.snapshot), ['a']);
  });

  it('goes on where a listener throws, and tells nobody after it was closed', async () => {
    const store = await start();
    store.subscribe(() => {
      throw new Error('listener bug');
    });
    await changeAfter(store, () => write('a.yaml', policy('a')));
    assert.ok(logger.text.includes('listener bug'));
    let told = 0;
    store.subscribe(() => (told += 1));
    await store.close();
    write('b.yaml', policy('b'));
    await store.refresh();
    assert.equal(told, 0);
    assert.deepEqual(names(store.snapshot), ['a']);
  });

  it('never crashes and never loses what was in force, whatever the bytes of a file (invariant 5)', async function () {
    this.timeout(60_000);
    write('good.yaml', policy('good'));
    write('a.yaml', policy('a'));
    // Without settling, each look reads at once, so that many contents can be tried.
    const store = await start({ settle: 0, pollInterval: 3_600_000 });
    const text = policy('a', '/other');
    const mutated = fc
      .tuple(fc.nat(text.length), fc.nat(20), fc.string({ maxLength: 20, unit: 'binary' }))
      .map(([at, cut, piece]) => text.slice(0, at) + piece + text.slice(at + cut));
    const contents = fc.oneof(
      mutated.map((value) => Buffer.from(value)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    );
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(contents, async (content) => {
        const before = store.snapshot;
        writeFileSync(join(folder, 'a.yaml'), content);
        await store.refresh();
        assert.ok(names(store.snapshot).includes('good'));
        if (!store.issues.some(({ severity }) => severity === 'error')) return;
        refused += 1;
        assert.deepEqual(names(store.snapshot), names(before));
        assert.equal(pathOf(store.snapshot, 'a'), pathOf(before, 'a'));
      }),
      { numRuns: 150 },
    );
    assert.ok(refused > 20, `only ${refused} were bad`);
  });
});
