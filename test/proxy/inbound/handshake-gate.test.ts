import { strict as assert } from 'node:assert';
import {
  HANDSHAKE_LIMITS,
  HandshakeGate,
  shareOfHandshakes,
  type Handshake,
} from '../../../proxy/inbound/handshake-gate.ts';
import { FakeClock } from '../../fakes/clock.ts';

const LIMITS = { atOnce: 4, waiting: 3, perTurn: 2, patience: 2_000, longest: 15_000, longestWait: 15_000 };

/** One that tells what became of it. */
class Told implements Handshake {
  state = 'waits';

  begin(): void {
    this.state = 'begun';
  }

  giveUp(reason: string): void {
    this.state = reason;
  }
}

describe('handshakes', () => {
  let clock: FakeClock;
  let gate: HandshakeGate;
  beforeEach(() => {
    clock = new FakeClock();
    gate = new HandshakeGate(clock, LIMITS);
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const enter = (count: number): Told[] =>
    Array.from({ length: count }, () => {
      const told = new Told();
      gate.enter(told);
      return told;
    });
  const states = (all: readonly Told[]): string => all.map(({ state }) => state).join();

  it('begin at once, and a few in one turn of the event loop', async () => {
    const all = enter(4);
    assert.equal(states(all), 'begun,begun,waits,waits');
    await turn();
    assert.equal(states(all), 'begun,begun,begun,begun');
  });

  it('are under way in a bounded number; others wait in order until one is over', async () => {
    const all = [...enter(4), ...enter(1)];
    await turn();
    await turn();
    assert.equal(gate.running, 4);
    const last = new Told();
    gate.enter(last);
    assert.deepEqual([all[4]?.state, last.state], ['waits', 'waits']);
    gate.leave(all[1]!);
    await turn();
    assert.deepEqual([all[4]?.state, last.state], ['begun', 'waits']);
  });

  it('are bounded for all threads together: each has its share, rounded up', () => {
    const { atOnce, waiting, perTurn } = shareOfHandshakes(3);
    assert.deepEqual([atOnce, waiting, perTurn], [86, 683, HANDSHAKE_LIMITS.perTurn]);
    assert.deepEqual(shareOfHandshakes(1), HANDSHAKE_LIMITS);
  });

  it('wait in a bounded number; the next is refused at once', async () => {
    enter(2);
    const all = enter(4);
    assert.equal(states(all), 'waits,waits,waits,too many handshakes wait');
  });

  it('give way to others that wait once they had their time, the oldest first and no more than needed', async () => {
    const silent = enter(4);
    await turn();
    await turn();
    clock.advance(1_000);
    const waits = enter(1);
    clock.advance(500);
    await turn();
    assert.equal(waits[0]?.state, 'waits');
    clock.advance(1_000);
    await turn();
    assert.equal(states(silent), 'the handshake took too long while others waited,begun,begun,begun');
    assert.equal(waits[0]?.state, 'begun');
  });

  it('are left alone, however slow, while nobody waits', async () => {
    const slow = enter(2);
    await turn();
    clock.advance(14_750);
    assert.equal(states(slow), 'begun,begun');
  });

  it('have a time that is over for all, and one timer while there are any', async () => {
    const slow = enter(1);
    clock.advance(1_000);
    slow.push(...enter(1));
    for (let seconds = 0; seconds < 14.5; seconds += 0.25) clock.advance(250);
    assert.equal(states(slow), 'the handshake took too long,begun');
    gate.leave(slow[1]!);
    clock.advance(250);
    assert.equal(clock.nextDue, undefined);
    assert.equal(gate.running, 0);
  });

  it('do not wait for ever', async () => {
    gate = new HandshakeGate(clock, { ...LIMITS, patience: Infinity, longest: Infinity });
    enter(2);
    const all = enter(3);
    await turn();
    clock.advance(15_500);
    assert.equal(states(all), 'begun,begun,its handshake waited too long for others');
    assert.equal(gate.waiting, 0);
  });

  it('that wait are forgotten where their peer leaves', async () => {
    enter(2);
    const [gone, next] = enter(2);
    gate.leave(gone!);
    await turn();
    assert.deepEqual([gone?.state, next?.state], ['waits', 'begun']);
    assert.equal(gate.waiting, 0);
  });
});
