import { strict as assert } from 'node:assert';
import type { Issue } from '../../src/core/issue.ts';
import type { ResourceChange, ResourceStore } from '../../src/resources/resource-store.ts';
import { eventually } from '../fakes/eventually.ts';

/** A document as a person writes it. */
export interface Written {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels?: Record<string, string> };
  readonly spec: Record<string, unknown>;
}

export type OpenStore = ResourceStore & {
  subscribeToIssues(listener: (issues: readonly Issue[]) => void): () => void;
};

/** What resources come from. */
export interface StoreDriver {
  /** Opens the store, which must have read what there is. */
  open(): Promise<OpenStore>;
  put(document: Written): Promise<void>;
  remove(document: Written): Promise<void>;
  /** Ends all stores that were opened. */
  close(): Promise<void>;
}

export const path = (name: string, text: string, namespace = 'shop'): Written => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name, namespace },
  spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: [text], ports: ['80'] } }] }] },
});
/** Of a shape that the definition of its kind lets through. */
const wrong = (name: string): Written => ({
  ...path(name, '/'),
  spec: { action: 'DENY', rules: [{ from: [{ source: { ipBlocks: ['nonsense'] } }] }] },
});
const entry = (name: string): Written => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadEntry',
  metadata: { name, namespace: 'shop' },
  spec: { address: '10.1.2.3', serviceAccount: 'catalog' },
});

const pathOf = (store: ResourceStore, name: string): string | undefined =>
  /"paths":\["([^"]*)"/.exec(
    JSON.stringify(store.snapshot.get({ kind: 'AuthorizationPolicy', namespace: 'shop', name })?.spec ?? {}),
  )?.[1];

/** What every store of resources does, whatever it reads them from. */
export function itIsAStore(makeDriver: (context: Mocha.Context) => Promise<StoreDriver>): void {
  let driver: StoreDriver;
  beforeEach(async function () {
    driver = await makeDriver(this);
  });
  afterEach(() => driver.close());

  it('holds what there is when it is opened, in the order of namespaces and names', async () => {
    for (const each of [path('b', '/b'), path('a', '/a'), path('z', '/z', 'first'), entry('e')]) await driver.put(each);
    const { snapshot, issues } = await driver.open();
    assert.deepEqual(
      snapshot.list('AuthorizationPolicy').map(({ namespace, name }) => `${namespace}/${name}`),
      ['first/z', 'shop/a', 'shop/b'],
    );
    assert.deepEqual(
      snapshot.list('AuthorizationPolicy', 'shop').map(({ name }) => name),
      ['a', 'b'],
    );
    assert.equal(snapshot.all.length, 4);
    assert.deepEqual(snapshot.get({ kind: 'WorkloadEntry', namespace: 'shop', name: 'e' })?.spec, entry('e').spec);
    assert.deepEqual(issues, []);
  });

  it('tells what was added, changed and removed, each with the snapshot of that moment', async () => {
    await driver.put(path('kept', '/kept'));
    const store = await driver.open();
    const changes: ResourceChange[] = [];
    store.subscribe((change) => {
      assert.equal(store.snapshot, change.snapshot);
      changes.push(change);
    });
    await driver.put(path('new', '/1'));
    await eventually(() => changes.length === 1);
    await driver.put(path('new', '/2'));
    await eventually(() => changes.length === 2);
    await driver.remove(path('new', '/2'));
    await eventually(() => changes.length === 3);
    assert.deepEqual(
      changes.map(({ added, changed, removed }) => [added.length, changed.length, removed.length]),
      [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
    );
    const [first, second, third] = changes;
    assert.equal(first?.added[0]?.name, 'new');
    assert.match(JSON.stringify(second?.changed[0]?.before.spec), /\/1/);
    assert.match(JSON.stringify(second?.changed[0]?.after.spec), /\/2/);
    assert.equal(third?.removed[0]?.name, 'new');
    const revisions = changes.map(({ snapshot }) => snapshot.revision);
    assert.deepEqual(
      revisions,
      [...revisions].sort((a, b) => a - b),
    );
    assert.equal(new Set(revisions).size, 3);
    assert.equal(pathOf(store, 'kept'), '/kept');
  });

  it('tells nothing where the same is said in other words', async () => {
    await driver.put({
      ...path('a', '/a'),
      spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/a'], ports: ['80'] } }] }] },
    });
    const store = await driver.open();
    const names: string[] = [];
    store.subscribe(({ added, changed }) =>
      names.push(...[...added, ...changed.map(({ after }) => after)].map((each) => each.name)),
    );
    await driver.put({
      ...path('a', '/a'),
      spec: { rules: [{ to: [{ operation: { paths: ['/a'], ports: ['80'] } }] }], action: 'DENY' },
    });
    await driver.put(path('b', '/b'));
    await eventually(() => store.snapshot.all.length === 2);
    await driver.put(path('b', '/c'));
    await eventually(() => names.length === 2);
    assert.deepEqual(names, ['b', 'b']);
  });

  it('keeps what a policy said while what it says now is wrong, and says so (invariant 5)', async () => {
    await driver.put(path('a', '/good'));
    await driver.put(path('other', '/1'));
    const store = await driver.open();
    let heard = 0;
    store.subscribeToIssues(() => (heard += 1));
    await driver.put(wrong('a'));
    await eventually(() => store.issues.some(({ severity }) => severity === 'error'));
    assert.equal(heard, 1);
    assert.match(store.issues.map(({ path: field }) => field).join(), /ipBlocks/);
    assert.equal(pathOf(store, 'a'), '/good');
    await driver.put(path('other', '/2'));
    await eventually(() => pathOf(store, 'other') === '/2');
    assert.equal(pathOf(store, 'a'), '/good');
    await driver.put(path('a', '/better'));
    await eventually(() => pathOf(store, 'a') === '/better');
    await eventually(() => store.issues.length === 0);
    await driver.put(wrong('a'));
    await eventually(() => store.issues.length > 0);
    await driver.remove(wrong('a'));
    await eventually(
      () => store.snapshot.get({ kind: 'AuthorizationPolicy', namespace: 'shop', name: 'a' }) === undefined,
    );
    await eventually(() => store.issues.length === 0);
  });

  it('does not make a policy younger that is edited', async () => {
    await driver.put(path('a', '/1'));
    const store = await driver.open();
    const before = store.snapshot.get({ kind: 'AuthorizationPolicy', namespace: 'shop', name: 'a' });
    await driver.put(path('a', '/2'));
    await eventually(() => pathOf(store, 'a') === '/2');
    const after = store.snapshot.get({ kind: 'AuthorizationPolicy', namespace: 'shop', name: 'a' });
    assert.equal(after?.creationTimestamp, before?.creationTimestamp);
    assert.notEqual(after?.version, before?.version);
  });

  it('calls each listener whatever another throws, and none that was taken back', async () => {
    const store = await driver.open();
    const heard = { kept: 0, gone: 0 };
    store.subscribe(() => {
      throw new Error('a listener that fails');
    });
    store.subscribe(() => (heard.kept += 1));
    const stop = store.subscribe(() => (heard.gone += 1));
    await driver.put(path('a', '/1'));
    await eventually(() => heard.kept === 1);
    stop();
    await driver.put(path('a', '/2'));
    await eventually(() => heard.kept === 2);
    assert.equal(heard.gone, 1);
  });

  it('gives out what nobody can change', async () => {
    await driver.put(path('a', '/1'));
    const { snapshot } = await driver.open();
    const [resource] = snapshot.all;
    assert.ok(resource !== undefined);
    const spec = resource.spec as { rules: { to: unknown[] }[] };
    for (const part of [resource, spec, spec.rules, spec.rules[0]?.to, resource.labels])
      assert.ok(Object.isFrozen(part));
  });
}
