import { strict as assert } from 'node:assert';
import { ReadBuffer } from '../../../proxy/upstream/read-buffer.ts';

describe('the buffer of a long answer', () => {
  it('is lent until the last write that holds a part of it is over, and says so once', () => {
    let told = 0;
    const buffer = ReadBuffer.take(() => (told += 1));
    const [first, second] = [buffer.lend(), buffer.lend()];
    first();
    assert.deepEqual([buffer.lent, told], [true, 0]);
    second();
    assert.deepEqual([buffer.lent, told], [false, 1]);
    buffer.release();
  });

  it('is had by nobody else while a write still holds it, though its connection is done with it', () => {
    let told = 0;
    const buffer = ReadBuffer.take(() => (told += 1));
    const returned = buffer.lend();
    buffer.release();
    const others = Array.from({ length: 16 }, () => ReadBuffer.take(() => {}));
    assert.ok(!others.includes(buffer));
    returned();
    assert.equal(told, 0, 'nobody waits for it any more');
    assert.equal(
      ReadBuffer.take(() => {}),
      buffer,
      'and now it may be had',
    );
  });

  it('is kept for the next, but not in any number', () => {
    const buffers = Array.from({ length: 16 }, () => ReadBuffer.take(() => {}));
    for (const buffer of buffers) buffer.release();
    const again = Array.from({ length: 16 }, () => ReadBuffer.take(() => {}));
    const kept = again.filter((buffer) => buffers.includes(buffer)).length;
    assert.ok(kept > 0 && kept < 16, `${kept} were kept`);
  });
});
