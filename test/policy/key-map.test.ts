import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import { KeyMap } from '../../src/policy/key-map.ts';
import { atOnce } from '../../src/policy/slices.ts';
import { hashOf } from '../../src/policy/text-hash.ts';
import { SCOPE } from '../bench/policy-shapes.ts';
import { policy } from './documents.ts';
import { connection, request } from './facts.ts';

/** Keys that are often the same, and often the same but for their last bits. */
const keys = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.integer({ min: 0, max: 15 }).map((top) => (top << 28) | 7),
);
type Held = readonly number[];
const added = (before: Held | undefined, item: number): Held => [...(before ?? []), item];

describe('a map of keys', () => {
  it('holds what is added one by one, in numbers or among others, and what it was made of stays', () => {
    fc.assert(
      fc.property(fc.array(fc.array(keys, { maxLength: 120 }), { maxLength: 6 }), (steps) => {
        let map = KeyMap.empty<Held>();
        const wanted = new Map<number, number[]>();
        for (const [turn, step] of steps.entries()) {
          const before = map;
          const was = new Map([...wanted].map(([key, items]) => [key, [...items]]));
          const items = step.map((_, index) => turn * 1000 + index);
          for (const [index, key] of step.entries()) wanted.set(key, [...(wanted.get(key) ?? []), items[index] ?? 0]);
          const bulk = { keys: step, items, write: added };
          map = turn % 2 === 0 ? atOnce(map.withMany(bulk, {})) : map.withSome(bulk, {});
          for (const [key, held] of wanted) assert.deepEqual(map.get(key), held);
          for (const [key, held] of was) assert.deepEqual(before.get(key), held);
          for (const key of step) if (!was.has(key)) assert.equal(before.get(key), undefined);
          assert.equal([...map.values()].length, wanted.size);
          // Every third goes again.
          for (const key of [...wanted.keys()].filter((each) => each % 3 === 0)) {
            map = map.updated(key, () => undefined, {});
            wanted.delete(key);
            assert.equal(map.get(key), undefined);
          }
          assert.equal(map.isEmpty, wanted.size === 0);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a hash', () => {
  it('that two paths have makes neither of them the other, since what it finds is asked', () => {
    const [one, other] = sameHash();
    assert.notEqual(one, other);
    assert.equal(hashOf(one), hashOf(other));
    const allows = (only: string, path: string): boolean =>
      compilePolicies({ ...SCOPE, policies: [policy({ rules: [{ to: [{ operation: { paths: [only] } }] }] })] })
        .forConnection(connection())
        .decide(request({ path })).allow;
    assert.deepEqual(
      [allows(one, one), allows(other, other), allows(one, other), allows(other, one)],
      [true, true, false, false],
    );
    const both = compilePolicies({
      ...SCOPE,
      policies: [
        policy({ rules: [{ to: [{ operation: { paths: [one] } }] }] }, { name: 'one' }),
        policy({ rules: [{ to: [{ operation: { paths: [other] } }] }] }, { name: 'other' }),
      ],
    }).forConnection(connection());
    const names = [one, other].map((path) => both.decide(request({ path })).matched?.policy.name);
    assert.deepEqual(names, ['one', 'other']);
  });
});

/** Among some hundred thousand paths two have one hash of 32 bits. */
function sameHash(): readonly [string, string] {
  const seen = new Map<number, string>();
  for (let index = 0; ; index += 1) {
    const path = `/things/${index}`;
    const before = seen.get(hashOf(path));
    if (before !== undefined) return [before, path];
    seen.set(hashOf(path), path);
  }
}
