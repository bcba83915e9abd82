import { strict as assert } from 'node:assert';
import { createClock, type Clock } from '../../src/core/clock.ts';

/** A runtime whose timers fire when told to, and which refuses a delay that a real one would cut short. */
function fakeRuntime(): {
  clock: Clock;
  pass: (milliseconds: number) => void;
  sleepMachine: (milliseconds: number) => void;
} {
  let wall = 0;
  let timers: { due: number; call: () => void }[] = [];
  let awake = 0;
  const clock = createClock({
    now: () => wall,
    elapsed: () => awake,
    setTimeout: (call, delay) => {
      assert.ok(delay <= 2 ** 31 - 1, 'a longer delay fires at once');
      const timer = { due: awake + delay, call };
      timers.push(timer);
      return timer as { unref?: () => unknown };
    },
    clearTimeout: (handle) => {
      timers = timers.filter((timer) => timer !== handle);
    },
  });
  const pass = (milliseconds: number): void => {
    const end = awake + milliseconds;
    for (;;) {
      const next = timers.filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      timers = timers.filter((timer) => timer !== next);
      wall += next.due - awake;
      awake = next.due;
      next.call();
    }
    wall += end - awake;
    awake = end;
  };
  return { clock, pass, sleepMachine: (milliseconds) => (wall += milliseconds) };
}

describe('the clock', () => {
  it('waits for delays longer than a timer of the runtime can', () => {
    const { clock, pass } = fakeRuntime();
    const fortyDays = 40 * 86_400_000;
    let called = 0;
    clock.after(fortyDays, () => (called += 1));
    pass(fortyDays - 1);
    assert.equal(called, 0);
    pass(1);
    assert.equal(called, 1);
  });

  it('calls back on wall time within half a minute after the machine slept', () => {
    const { clock, pass, sleepMachine } = fakeRuntime();
    let called = 0;
    clock.at(3_600_000, () => (called += 1));
    pass(1_000);
    sleepMachine(7_200_000);
    pass(30_000);
    assert.equal(called, 1);
  });

  it('does not call back once cancelled', () => {
    const { clock, pass } = fakeRuntime();
    const timer = clock.after(10, () => assert.fail('cancelled'));
    timer.cancel();
    timer.cancel();
    pass(100);
  });

  it('never calls back before it has returned', () => {
    const { clock, pass } = fakeRuntime();
    let called = 0;
    clock.after(0, () => (called += 1));
    clock.at(-5, () => (called += 1));
    assert.equal(called, 0);
    pass(0);
    assert.equal(called, 2);
  });
});
