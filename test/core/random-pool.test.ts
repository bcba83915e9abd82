import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { createRandomPool } from '../../src/core/random-pool.ts';

/** Gives 0, 1, 2, … as 4-byte numbers, so that a byte that is given twice is seen. */
function counting(): { randomBytes: (size: number) => Buffer; draws: () => number } {
  let [next, draws] = [0, 0];
  const randomBytes = (size: number): Buffer => {
    draws += 1;
    const bytes = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) {
      bytes.writeUInt32BE(next, at);
      next += 1;
    }
    return bytes;
  };
  return { randomBytes, draws: () => draws };
}

describe('a pool of random bytes', () => {
  it('gives as many as asked for, and each of them once (invariant 3: no serial is used twice)', () => {
    const sizes = fc.array(
      fc.integer({ min: 0, max: 1_500 }).map((words) => words * 4),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(sizes, (asked) => {
        const pool = createRandomPool(counting().randomBytes);
        const seen = new Set<number>();
        for (const size of asked) {
          const bytes = pool(size);
          assert.equal(bytes.length, size);
          for (let at = 0; at < size; at += 4) {
            const word = bytes.readUInt32BE(at);
            assert.ok(!seen.has(word), `${word} was given twice`);
            seen.add(word);
          }
        }
      }),
    );
  });

  it('lets a caller write into what it was given, and no later one sees it', () => {
    const pool = createRandomPool((size) => Buffer.alloc(size));
    pool(16).fill(0xff);
    for (let draw = 0; draw < 1_000; draw += 1) assert.ok(!pool(16).includes(0xff));
  });

  it('asks for more once for many serial numbers', () => {
    const source = counting();
    const pool = createRandomPool(source.randomBytes);
    for (let draw = 0; draw < 256; draw += 1) pool(16);
    assert.equal(source.draws(), 1);
    pool(16);
    assert.equal(source.draws(), 2);
  });
});
