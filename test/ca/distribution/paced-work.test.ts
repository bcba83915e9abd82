import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import { Backoff } from '../../../src/core/backoff.ts';
import { PacedWork } from '../../../ca/distribution/paced-work.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('work that is asked for more often than it is done', () => {
  /** Work of pieces that take 3 ms each, of which the third fails where it is to. */
  function paced(pieces: () => number, fails: () => boolean = () => false) {
    const clock = new FakeClock();
    const began: number[] = [];
    const failures: unknown[] = [];
    let time = 0;
    const elapsed = (): number => clock.elapsed() + time;
    const work = new PacedWork({
      *work() {
        began.push(elapsed());
        for (let piece = 0; piece < pieces(); piece += 1) {
          time += 3;
          if (fails() && piece === 2) throw new Error('no');
          yield;
        }
      },
      rest: 100,
      onFailure: (error) => failures.push(error),
      retry: new Backoff({ initial: 1_000, max: 4_000, random: () => 1 }),
      clock: { after: (delay, call) => clock.after(delay, call), elapsed },
    });
    return { work, clock, began, failures, elapsed };
  }

  it('is done at once the first time, and what is asked for in its wake together after a rest', () => {
    const { work, clock, began } = paced(() => 1);
    work.ask();
    assert.equal(began.length, 1);
    for (let asked = 0; asked < 50; asked += 1) {
      work.ask();
      clock.advance(1);
    }
    assert.equal(began.length, 1);
    clock.advance(50);
    assert.equal(began.length, 2);
    clock.advance(1_000);
    assert.equal(began.length, 2, 'nobody asked again');
    work.ask();
    assert.equal(began.length, 3, 'it has rested');
  });

  it('lets others have their turn every 5 ms, and rests the longer the longer it took, but not for ever', async () => {
    const { work, clock, began, elapsed } = paced(() => 1_000);
    work.ask();
    const turns: number[] = [];
    for (let before = elapsed(), turn = 0; ; turn += 1) {
      await setImmediate();
      if (elapsed() === before && turn > 5) break;
      turns.push(elapsed() - before);
      before = elapsed();
    }
    assert.ok(Math.max(...turns) <= 6, `a turn took ${Math.max(...turns)} ms`);
    assert.ok(turns.length >= 490);
    work.ask();
    clock.advance(299);
    assert.equal(began.length, 1);
    clock.advance(2);
    assert.equal(began.length, 2);
    work.close();
  });

  it('says what failed, and tries it again by itself, later each time; closed, it does nothing more', async () => {
    let fails = true;
    const { work, clock, began, failures } = paced(
      () => 3,
      () => fails,
    );
    work.ask();
    await setImmediate();
    assert.equal(failures.length, 1);
    clock.advance(900);
    work.ask();
    assert.equal(began.length, 1, 'asking does not make it sooner');
    clock.advance(100);
    assert.equal(began.length, 2);
    await setImmediate();
    clock.advance(1_900);
    assert.equal(began.length, 2);
    fails = false;
    clock.advance(100);
    assert.equal(began.length, 3);
    await setImmediate();
    clock.advance(10_000);
    assert.deepEqual([began.length, failures.length], [3, 2], 'it is done');
    fails = true;
    work.ask();
    await setImmediate();
    assert.equal(failures.length, 3);
    work.close();
    clock.advance(10_000);
    work.ask();
    assert.equal(began.length, 4);
  });
});
