import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { makeResource, resourceKey, type Resource } from '../../src/resources/resource.ts';
import { compareSnapshots, editSnapshot, makeSnapshot } from '../../src/resources/resource-store.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-snapshot.ts';

const kindOf = (name: string) => RESOURCE_KINDS.find(({ kind }) => kind === name)!;

interface Wanted {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly said?: number;
  readonly created?: number;
}

const resource = ({ kind = 'Service', namespace = 'shop', name = 'a', said = 0, created = 1 }: Wanted): Resource =>
  makeResource({
    kind: kindOf(kind),
    namespace,
    name,
    labels: {},
    annotations: {},
    creationTimestamp: created,
    uid: undefined,
    spec: { said },
    origin: { file: undefined, locate: () => undefined },
  });

const contentOf = (snapshot: ResourceSnapshot) =>
  snapshot.all.map((each) => [resourceKey(each), each.version, each.creationTimestamp]);

const KINDS = ['Service', 'Sidecar', 'ServiceEntry'];
const NAMESPACES = ['shop', 'shop-b', 'a'];
const NAMES = ['a', 'a-b', 'a.b', 'b', 'c', 'd'];

const anyResource = fc
  .record({
    kind: fc.constantFrom(...KINDS),
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom(...NAMES),
    said: fc.nat(2),
    created: fc.integer({ min: 1, max: 2 }),
  })
  .map(resource);

const anyEdit = fc.record({
  put: fc.array(anyResource, { maxLength: 8 }),
  remove: fc.array(anyResource, { maxLength: 8 }),
});

describe('a snapshot of resources', () => {
  it('becomes by edits what it would be if it were made from nothing', () => {
    fc.assert(
      fc.property(fc.array(anyEdit, { maxLength: 6 }), (edits) => {
        let snapshot: ResourceSnapshot = makeSnapshot([], 0);
        const there = new Map<string, Resource>();
        for (const edit of edits) {
          for (const each of edit.remove) there.delete(resourceKey(each));
          for (const each of edit.put) there.set(resourceKey(each), each);
          const before = snapshot;
          const change = editSnapshot(before, edit);
          snapshot = change?.snapshot ?? before;
          const fresh = makeSnapshot(there.values(), 0);
          assert.deepEqual(contentOf(snapshot), contentOf(fresh));
          for (const kind of KINDS) {
            for (const namespace of NAMESPACES) {
              assert.deepEqual(
                snapshot.list(kind, namespace).map(resourceKey),
                fresh.list(kind, namespace).map(resourceKey),
              );
              for (const name of NAMES) {
                assert.equal(
                  snapshot.get({ kind, namespace, name })?.version,
                  fresh.get({ kind, namespace, name })?.version,
                );
              }
            }
          }
          const compared = compareSnapshots(before, fresh);
          const keys = (list: readonly Resource[] = []) => list.map(resourceKey).sort();
          assert.deepEqual(keys(change?.added), keys(compared?.added));
          assert.deepEqual(keys(change?.removed), keys(compared?.removed));
          assert.deepEqual(
            keys(change?.changed.map(({ after }) => after)),
            keys(compared?.changed.map(({ after }) => after)),
          );
          for (const { before: old } of change?.changed ?? []) assert.equal(before.get(old), old);
        }
      }),
    );
  });

  it('stays as it was when another is made of it', () => {
    const before = makeSnapshot([resource({ name: 'a' }), resource({ name: 'b' })], 4);
    const content = contentOf(before);
    const change = editSnapshot(before, { put: [resource({ name: 'c' })], remove: [resource({ name: 'a' })] });
    assert.deepEqual(contentOf(before), content);
    assert.equal(change?.snapshot.revision, 5);
  });

  it('keeps the objects of what an edit does not change, and the lists of namespaces in which nothing does', () => {
    const before = makeSnapshot([resource({ name: 'a' }), resource({ name: 'b' }), resource({ namespace: 'a' })], 0);
    const change = editSnapshot(before, { put: [resource({ name: 'a' }), resource({ name: 'b', said: 1 })] });
    const name = { kind: 'Service', namespace: 'shop', name: 'a' };
    assert.equal(change?.snapshot.get(name), before.get(name));
    assert.equal(change?.snapshot.list('Service', 'a'), before.list('Service', 'a'));
    assert.notEqual(change?.snapshot.list('Service', 'shop'), before.list('Service', 'shop'));
    assert.equal(
      editSnapshot(before, { put: [resource({ name: 'a' })], remove: [resource({ name: 'z' })] }),
      undefined,
    );
  });

  it('counts as changed what was made anew with the same content, since the older of two can decide', () => {
    const change = editSnapshot(makeSnapshot([resource({})], 0), { put: [resource({ created: 2 })] });
    assert.equal(change?.changed.length, 1);
  });

  it('holds the first of two resources with one name', () => {
    const [first, second] = [resource({ said: 1 }), resource({ said: 2 })];
    assert.deepEqual(makeSnapshot([first, second], 0).all, [first]);
  });
});
