import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { DecisionRing } from '../../../proxy/decisions/decision-ring.ts';
import { NO_POLICY } from '../../../src/policy/verdict.ts';
import { connection } from '../../policy/facts.ts';
import { headOf } from '../http1/head-of.ts';

const PARTS = { connection: connection(), verdict: NO_POLICY, client: undefined, generation: 1 };

function noteOne(
  ring: DecisionRing,
  { id, host, path, more = '' }: Record<'id' | 'host' | 'path', string> & { more?: string },
  time: number,
): void {
  ring.note(time, headOf([`GET ${path} HTTP/1.1`, `Host: ${host}`, `X-Request-Id: ${id}`]), path, more, PARTS);
}

describe('the ring of decisions', () => {
  it('gives back what was noted, newest first, and knows no other id', () => {
    const ring = new DecisionRing(8);
    noteOne(ring, { id: 'a', host: 'h', path: '/1', more: '{"headers":{"x":"ü"}}' }, 1);
    noteOne(ring, { id: 'b', host: 'h', path: '/2' }, 2);
    noteOne(ring, { id: 'a', host: 'other:80', path: '/3' }, 3);
    const found = ring
      .find('a', 10)
      .map(({ time, id, method, host, path, more, cut }) => [time, id, method, host, path, more, cut]);
    assert.deepEqual(found, [
      [3, 'a', 'GET', 'other:80', '/3', '', false],
      [1, 'a', 'GET', 'h', '/1', '{"headers":{"x":"ü"}}', false],
    ]);
    assert.deepEqual(ring.find('aa', 10), []);
    assert.equal(ring.find('a', 1).length, 1);
  });

  it('keeps no more than it was told to, and no more bytes than it took at first', () => {
    const ring = new DecisionRing(4);
    for (let index = 0; index < 100; index += 1) noteOne(ring, { id: `i${index}`, host: 'h', path: '/' }, index);
    assert.equal(ring.size, 4);
    assert.deepEqual(ring.find('i95', 1), []);
    assert.equal(ring.find('i96', 1)[0]?.time, 96);
    // Many times the bytes of the ring: fewer decisions are kept, and each is whole.
    for (let index = 0; index < 100; index += 1)
      noteOne(ring, { id: `l${index}`, host: 'h', path: `/${'x'.repeat(4_000)}${index % 10}` }, index);
    assert.ok(ring.size >= 1 && ring.size <= 4);
    assert.equal(ring.find('l99', 1)[0]?.path, `/${'x'.repeat(4_000)}9`);
  });

  it('cuts what is longer than it keeps, and says so', () => {
    const ring = new DecisionRing(4);
    noteOne(ring, { id: 'a', host: 'h', path: `/${'x'.repeat(5_000)}`, more: 'y'.repeat(9_000) }, 1);
    const [found] = ring.find('a', 1);
    assert.deepEqual([found?.cut, found?.path.length, found?.more], [true, 4_096, '']);
  });

  it('never gives back a mixture, whatever the lengths', () => {
    const drawn = fc.record({ length: fc.integer({ min: 0, max: 4_090 }), more: fc.integer({ min: 0, max: 8_000 }) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(drawn, { maxLength: 60 }), (capacity, all) => {
        const ring = new DecisionRing(capacity);
        const noted = all.map(({ length, more }, index) => {
          const letter = String.fromCharCode(97 + (index % 26));
          const one = {
            id: `id-${index}`,
            host: `${letter}.example`,
            path: `/${letter.repeat(length)}`,
            more: letter.repeat(more),
          };
          noteOne(ring, one, index);
          return one;
        });
        assert.ok(ring.size <= capacity);
        for (const [index, one] of noted.entries()) {
          const [found] = ring.find(one.id, 1);
          assert.equal(found !== undefined, index >= noted.length - ring.size);
          if (found !== undefined)
            assert.deepEqual([found.host, found.path, found.more, found.time], [one.host, one.path, one.more, index]);
        }
      }),
      { numRuns: 200 },
    );
  });
});
