import { strict as assert } from 'node:assert';
import { trimWhenQuiet } from '../../proxy/trim-when-quiet.ts';
import { FakeClock } from '../fakes/clock.ts';

describe('giving back what a burst left', () => {
  const start = (): {
    clock: FakeClock;
    use: (milliseconds: number) => void;
    trims: () => number;
    stop: () => void;
  } => {
    const clock = new FakeClock();
    let used = 1_000;
    let trims = 0;
    const stop = trimWhenQuiet({ clock, cpuTime: () => used, trim: () => (trims += 1) });
    const use = (milliseconds: number): void => {
      used += milliseconds;
      clock.advance(5_000);
    };
    return { clock, use, trims: () => trims, stop };
  };

  it('waits until it is over, and does it once', () => {
    const { use, trims } = start();
    use(3_000);
    use(51);
    assert.equal(trims(), 0);
    use(50);
    assert.equal(trims(), 1);
    use(0);
    use(10);
    assert.equal(trims(), 1);
    use(1_000);
    use(0);
    assert.equal(trims(), 2);
  });

  it('takes many little ones together', () => {
    const { use, trims } = start();
    for (let interval = 0; interval < 4; interval += 1) use(50);
    assert.equal(trims(), 0);
    use(50);
    assert.equal(trims(), 1);
  });

  it('ends', () => {
    const { clock, use, trims, stop } = start();
    use(1_000);
    stop();
    use(0);
    assert.equal(trims(), 0);
    assert.equal(clock.nextDue, undefined);
  });
});
