import { strict as assert } from 'node:assert';
import { AskedKeySets } from '../../../proxy/agent/asked-key-sets.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('the asking for keys that are not known', () => {
  let clock: FakeClock;
  let connected: boolean;
  let said: string[];
  let sets: AskedKeySets;

  beforeEach(() => {
    clock = new FakeClock();
    connected = true;
    said = [];
    sets = new AskedKeySets({
      find: () => undefined,
      subscribe: (name) => said.push(`+${name}`),
      unsubscribe: (name) => said.push(`-${name}`),
      connected: () => connected,
      clock,
    });
  });

  it('is done once for all that wait, and ends when the keys come', async () => {
    const waits = [sets.askAgain('a', 5_000), sets.askAgain('a', 5_000)];
    assert.deepEqual(said, ['+a#look-again']);
    sets.pushed(['b']);
    assert.deepEqual(said, ['+a#look-again']);
    sets.pushed(['a']);
    for (const wait of waits) await wait;
    assert.deepEqual(said, ['+a#look-again', '-a#look-again']);
  });

  it('ends where no keys come in time', async () => {
    const wait = sets.askAgain('a', 5_000);
    clock.advance(5_001);
    await wait;
    assert.deepEqual(said, ['+a#look-again', '-a#look-again']);
  });

  it('has a limit for each set, however many tokens come', () => {
    for (let index = 0; index < 50; index += 1) {
      void sets.askAgain('a', 5_000);
      sets.pushed(['a']);
    }
    assert.equal(said.filter((line) => line.startsWith('+')).length, 3);
    assert.equal(sets.askAgain('a', 5_000), undefined);
    assert.notEqual(sets.askAgain('b', 5_000), undefined);
    clock.advance(11_000);
    assert.notEqual(sets.askAgain('a', 5_000), undefined);
  });

  it('is not tried while the CA cannot be reached', () => {
    connected = false;
    assert.equal(sets.askAgain('a', 5_000), undefined);
    assert.deepEqual(said, []);
  });
});
