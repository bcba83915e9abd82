import { strict as assert } from 'node:assert';
import { ListenerSet, type Listening, type Place } from '../../../proxy/listen/listener-set.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

describe('the listeners that a configuration asks for', () => {
  const PLACE: Place = { address: '127.0.0.1', port: 8080 };
  /** A port that somebody else has until `free`. */
  class Made implements Listening {
    readonly open = 0;
    state: 'made' | 'listening' | 'retired' | 'closed' = 'made';

    async listen(port: number): Promise<number> {
      if (!free) throw Object.assign(new Error('taken'), { code: 'EADDRINUSE' });
      this.state = 'listening';
      return port;
    }

    retire(): void {
      this.state = 'retired';
    }

    async close(): Promise<void> {
      this.state = 'closed';
    }
  }
  let free: boolean;
  let made: Made[];
  let held: number;
  let clock: FakeClock;
  let set: ListenerSet<Place>;

  beforeEach(() => {
    [free, made, held] = [false, [], 0];
    clock = new FakeClock();
    set = new ListenerSet({
      name: 'inbound',
      create: () => {
        const listening = new Made();
        made.push(listening);
        return listening;
      },
      hold: async (_address, port) => {
        held += 1;
        return { port, release: async () => void (held -= 1) };
      },
      clock,
      logger: new RecordingLogger(),
    });
  });
  afterEach(() => set.close());

  it('are tried again where they cannot be opened, and nothing of a try is left', async () => {
    await set.apply([PLACE]);
    clock.advance(2_000);
    // Behind that try.
    await set.apply([PLACE]);
    assert.ok(made.length > 1);
    assert.deepEqual(new Set(made.map(({ state }) => state)), new Set(['closed']));
    assert.deepEqual([set.problems.map(({ code }) => code), held], [['port_in_use'], 0]);
    free = true;
    await set.apply([PLACE]);
    assert.equal(made.at(-1)?.state, 'listening');
    assert.deepEqual([set.problems, held], [[], 1]);
  });
});
