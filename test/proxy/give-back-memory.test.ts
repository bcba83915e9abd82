import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import { giveBackMemory } from '../../proxy/give-back-memory.ts';

describe('giving memory back', () => {
  it('collects what nobody holds, and leaves no collector within reach of programs', async () => {
    const gone = new WeakRef(Buffer.alloc(1));
    // A reference that was looked at stays until the end of its turn.
    await setImmediate();
    giveBackMemory();
    assert.equal(gone.deref(), undefined);
    assert.equal((globalThis as { gc?: unknown }).gc, undefined);
  });
});
