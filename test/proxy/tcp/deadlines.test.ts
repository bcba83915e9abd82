import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { cancelDeadline, DeadlineEntry, Deadlines, type Expiring } from '../../../proxy/tcp/deadlines.ts';
import { FakeClock } from '../../fakes/clock.ts';

class Waiting implements Expiring {
  readonly deadline = new DeadlineEntry(this);
  readonly expiredAt: number[] = [];
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  onDeadline(): void {
    this.expiredAt.push(this.#clock.elapsed());
  }
}

describe('deadlines', () => {
  it('come never early and at most two ticks late', () => {
    const step = fc.record({ delay: fc.constantFrom(100, 700, 2_000), at: fc.integer({ min: 0, max: 5_000 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        const clock = new FakeClock();
        const deadlines = new Deadlines(clock, 500);
        const waiting = steps.map(({ delay, at }) => {
          const entry = new Waiting(clock);
          clock.at(clock.now() + at, () => deadlines.queue(delay).add(entry.deadline));
          return { entry, due: at + delay };
        });
        clock.advance(20_000);
        for (const { entry, due } of waiting) {
          assert.equal(entry.expiredAt.length, 1);
          const late = (entry.expiredAt[0] ?? 0) - due;
          assert.ok(late >= 0 && late <= 1_000, `${late} ms late`);
        }
      }),
    );
  });

  it('start again when they are added again, and leave any other queue', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    const entry = new Waiting(clock);
    deadlines.queue(1_000).add(entry.deadline);
    clock.advance(900);
    deadlines.queue(2_000).add(entry.deadline);
    clock.advance(1_900);
    assert.deepEqual(entry.expiredAt, []);
    clock.advance(500);
    assert.equal(entry.expiredAt.length, 1);
  });

  it('can be cancelled, also from within another one', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    const queue = deadlines.queue(1_000);
    const [first, second, third] = [new Waiting(clock), new Waiting(clock), new Waiting(clock)];
    for (const { deadline } of [first, second, third]) queue.add(deadline);
    first.onDeadline = () => cancelDeadline(second.deadline);
    clock.advance(5_000);
    assert.deepEqual(second.expiredAt, []);
    assert.equal(third.expiredAt.length, 1);
  });

  it('never come where the delay is 0', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    const entry = new Waiting(clock);
    deadlines.queue(0).add(entry.deadline);
    assert.equal(clock.nextDue, undefined);
  });

  it('do not tick while nothing waits', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 100);
    const entry = new Waiting(clock);
    deadlines.queue(50).add(entry.deadline);
    clock.advance(1_000);
    assert.equal(entry.expiredAt.length, 1);
    assert.equal(clock.nextDue, undefined);
    deadlines.queue(50).add(entry.deadline);
    clock.advance(1_000);
    assert.equal(entry.expiredAt.length, 2);
  });
});
