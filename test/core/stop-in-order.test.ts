import { strict as assert } from 'node:assert';
import { stopInOrder } from '../../src/core/stop-in-order.ts';
import { FakeClock } from '../fakes/clock.ts';
import { RecordingLogger } from '../fakes/logger.ts';

describe('stopping in order', () => {
  const clock = new FakeClock();

  it('waits for each part before the next', async () => {
    const said: string[] = [];
    const part = (name: string) => ({
      name,
      stop: async () => {
        said.push(`${name} begins`);
        await Promise.resolve();
        said.push(`${name} ends`);
      },
    });
    const logger = new RecordingLogger();
    await stopInOrder([part('a'), part('b')], { clock, logger, patience: 1_000 });
    assert.deepEqual(said, ['a begins', 'a ends', 'b begins', 'b ends']);
    assert.deepEqual(logger.lines, []);
    assert.equal(clock.nextDue, undefined);
  });

  it('names one that hangs, and stops those behind it', async () => {
    const logger = new RecordingLogger();
    let reached = false;
    const hangs = { name: 'agent', stop: () => new Promise<void>(() => undefined) };
    const last = { name: 'lock', stop: () => void (reached = true) };
    const stopped = stopInOrder([hangs, last], { clock, logger, patience: 1_000 });
    clock.advance(999);
    await Promise.resolve();
    assert.equal(reached, false);
    clock.advance(1);
    await stopped;
    assert.equal(reached, true);
    assert.deepEqual(logger.lines, [
      { level: 'error', message: 'a part did not stop in time', fields: { part: 'agent', waitedMs: 1_000 } },
    ]);
  });

  it('names one that fails, whether it throws or rejects', async () => {
    const logger = new RecordingLogger();
    const throws = {
      name: 'a',
      stop: () => {
        throw new Error('broken');
      },
    };
    const rejects = { name: 'b', stop: () => Promise.reject(new Error('torn')) };
    await stopInOrder([throws, rejects], { clock, logger, patience: undefined });
    assert.deepEqual(
      logger.lines.map(({ message, fields }) => [message, fields]),
      [
        ['a part did not stop cleanly', { part: 'a', reason: 'broken' }],
        ['a part did not stop cleanly', { part: 'b', reason: 'torn' }],
      ],
    );
  });
});
