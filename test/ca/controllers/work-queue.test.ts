import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { RepairPace } from '../../../ca/controllers/repair-pace.ts';
import { WorkQueue } from '../../../ca/controllers/work-queue.ts';
import { WriteTurns } from '../../../ca/controllers/write-turns.ts';
import { FakeClock } from '../../fakes/clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a queue of work', () => {
  let clock: FakeClock;
  let begun: string[];
  let ends: Map<string, (error?: Error) => void>;
  let failures: string[];
  const open = (concurrency = 2): WorkQueue =>
    new WorkQueue({
      work: (key) => {
        begun.push(key);
        return new Promise((resolve, reject) => {
          ends.set(key, (error) => (error === undefined ? resolve() : reject(error)));
        });
      },
      onFailure: (key) => {
        failures.push(key);
        return undefined;
      },
      concurrency,
      retry: { initial: 100, max: 1_000 },
      clock,
      random: () => 1,
    });
  const end = async (key: string, error?: Error): Promise<void> => {
    ends.get(key)?.(error);
    await turn();
  };
  beforeEach(() => {
    clock = new FakeClock();
    begun = [];
    ends = new Map();
    failures = [];
  });

  it('does each key once however often it was added, and not more at once than it should', async () => {
    const queue = open();
    for (const key of ['a', 'b', 'c', 'c', 'd']) queue.add(key);
    assert.deepEqual(begun, ['a', 'b']);
    await end('a');
    await end('c');
    assert.deepEqual(begun, ['a', 'b', 'c', 'd']);
  });

  it('does a key once more where it was added while under way, and never twice at a time', async () => {
    const queue = open();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    assert.deepEqual(begun, ['a']);
    await end('a');
    assert.deepEqual(begun, ['a', 'a']);
    await end('a');
    assert.deepEqual(begun, ['a', 'a']);
  });

  it('does what has just happened before what waits', async () => {
    const queue = open(1);
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.add('new', { urgent: true });
    queue.add('c', { urgent: true });
    for (const key of ['a', 'new', 'c', 'b']) await end(key);
    assert.deepEqual(begun, ['a', 'new', 'c', 'b']);
  });

  it('tries again after a failure, each time later, and at the first delay after a success', async () => {
    const queue = open();
    queue.add('a');
    for (const delay of [100, 200, 400, 800, 1_000, 1_000]) {
      const before = begun.length;
      await end('a', new Error('no'));
      clock.advance(delay - 1);
      assert.equal(begun.length, before);
      clock.advance(1);
      assert.equal(begun.length, before + 1);
    }
    await end('a');
    queue.add('a');
    await end('a', new Error('no'));
    assert.ok(clock.waits(100));
    assert.equal(failures.length, 7);
  });

  it('does nothing more once closed, and is closed when what was under way has ended', async () => {
    const queue = open(1);
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 10);
    let closed = false;
    const closing = queue.close().then(() => (closed = true));
    clock.advance(1_000);
    queue.add('d');
    await turn();
    assert.equal(closed, false);
    await end('a', new Error('no'));
    await closing;
    clock.advance(10_000);
    assert.deepEqual(begun, ['a']);
  });

  it('loses nothing: after every change the key is looked at again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('change', 'fail', 'wait')), {
          maxLength: 60,
        }),
        async (steps) => {
          const time = new FakeClock();
          const wanted = new Map<string, number>();
          const done = new Map<string, number>();
          let failing = 0;
          const queue = new WorkQueue({
            work: async (key) => {
              const saw = wanted.get(key) ?? 0;
              await turn();
              if (failing > 0) {
                failing -= 1;
                throw new Error('no');
              }
              done.set(key, saw);
            },
            onFailure: () => undefined,
            concurrency: 2,
            retry: { initial: 100, max: 1_000 },
            clock: time,
            random: () => 0.5,
          });
          for (const [key, what] of steps) {
            if (what === 'fail') failing += 1;
            if (what === 'wait') await turn();
            if (what !== 'change') continue;
            wanted.set(key, (wanted.get(key) ?? 0) + 1);
            queue.add(key, { urgent: true });
          }
          for (let round = 0; round < 80; round += 1) {
            await turn();
            time.advance(1_000);
          }
          assert.deepEqual(Object.fromEntries(done), Object.fromEntries(wanted));
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the pace of repairs', () => {
  it('is at once for what is edited twice, and ever slower for what is edited on and on', () => {
    const clock = new FakeClock();
    const pace = new RepairPace(clock);
    const waits = Array.from({ length: 14 }, () => {
      const wait = pace.waitOf('a');
      clock.advance(wait);
      assert.equal(pace.waitOf('a'), 0);
      pace.wrote('a');
      return wait / 1_000;
    });
    assert.deepEqual(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert.equal(pace.isContested('a'), true);
    assert.equal(pace.waitOf('b'), 0);
    clock.advance(15 * 60_000 + 1);
    assert.deepEqual([pace.isContested('a'), pace.waitOf('a')], [false, 0]);
  });

  it('does not call it contested what a person edits a few times', () => {
    const pace = new RepairPace(new FakeClock());
    for (let edit = 0; edit < 5; edit += 1) pace.wrote('a');
    assert.equal(pace.isContested('a'), false);
  });
});

describe('turns to write', () => {
  it('are at once where there are few, and spread where there are many', async () => {
    const clock = new FakeClock();
    const turns = new WriteTurns(clock, 10);
    let written = 0;
    for (let write = 0; write < 30; write += 1) void turns.turn().then(() => (written += 1));
    await turn();
    assert.equal(written, 1);
    for (let passed = 0; passed < 10; passed += 1) {
      clock.advance(100);
      await turn();
    }
    assert.equal(written, 11);
    clock.advance(60_000);
    await turn();
    assert.equal(written, 30);
    await turns.turn();
  });
});
