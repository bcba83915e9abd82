import { strict as assert } from 'node:assert';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { BufferGarbage } from '../../../proxy/tcp/buffer-garbage.ts';

const RECORD = 16 * 1024;

/** How often V8 collected everything while so many buffers of a TLS record each were let go. */
async function collectionsOf(
  buffers: number,
  garbage: BufferGarbage | undefined,
): Promise<{ young: number; all: number }> {
  const counts = { young: 0, all: 0 };
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as unknown as { detail: { kind: number } }).detail;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) counts.young += 1;
      if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) counts.all += 1;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  for (let made = 0; made < buffers; made += 1) {
    garbage?.note(Buffer.allocUnsafeSlow(RECORD).length);
    // As sockets bring them: not all in one turn of the loop.
    if (made % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 0));
  observer.disconnect();
  return counts;
}

describe('the garbage of buffers', () => {
  it('is collected before V8 looks through everything for it', async () => {
    const { young, all } = await collectionsOf(10_000, new BufferGarbage());
    assert.ok(young >= 20, `${young} collections of the young generation`);
    assert.ok(all <= 1, `${all} collections of everything`);
  });

  it('is no reason to collect while it is little', async () => {
    const garbage = new BufferGarbage();
    const { young } = await collectionsOf(100, garbage);
    assert.ok(young <= 1, `${young} collections of the young generation`);
  });
});
