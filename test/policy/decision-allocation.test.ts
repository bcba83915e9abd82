import { strict as assert } from 'node:assert';
import { bytesOf, policyCase } from '../bench/policy-shapes.ts';

describe('a decision that allows', () => {
  for (const shape of [
    'one caller each',
    'one namespace, exact paths',
    'one namespace, path prefixes',
    'one namespace, hosts',
  ]) {
    it(`leaves nothing on the heap (${shape})`, () => {
      const { allow } = policyCase(shape, 50);
      const bytes = bytesOf(100_000, allow);
      // One object is 12 bytes at least; the rest is what the engine does beside.
      assert.ok(bytes < 2, `${bytes} bytes`);
    });
  }

  it('would be seen to, if it did', () => {
    const { allow } = policyCase('one caller each', 50);
    const kept: object[] = [{}];
    const bytes = bytesOf(100_000, () => {
      kept[0] = { verdict: allow() };
    });
    assert.ok(bytes >= 12, `${bytes} bytes`);
  });
});
