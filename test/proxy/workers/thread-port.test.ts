import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { ThreadPort } from '../../../proxy/workers/thread-port.ts';
import { SealwrightError } from '../../../src/core/errors.ts';

interface Calls extends Readonly<Record<string, (...args: never[]) => unknown>> {
  readonly add: (a: number, b: number) => number;
  readonly later: (value: string) => Promise<string>;
  readonly refuse: () => Promise<void>;
  readonly fail: () => void;
  readonly uncopied: () => () => void;
  readonly note: (text: string) => void;
}
type None = Readonly<Record<string, never>>;

describe('calls between two threads', () => {
  let channel: MessageChannel;
  let caller: ThreadPort<None, Calls>;
  let called: ThreadPort<Calls, None>;
  let noted: string[];

  beforeEach(() => {
    channel = new MessageChannel();
    noted = [];
    caller = new ThreadPort<None, Calls>(channel.port1, {});
    called = new ThreadPort<Calls, None>(channel.port2, {
      add: (a, b) => a + b,
      later: (value) => Promise.resolve(value),
      refuse: () => Promise.reject(new SealwrightError('port_held', { address: '127.0.0.1', port: 80 })),
      fail: () => {
        throw new TypeError('not that');
      },
      uncopied: () => () => undefined,
      note: (text) => void noted.push(text),
    });
  });

  afterEach(() => {
    channel.port1.close();
  });

  it('are answered with the value, now or later', async () => {
    assert.deepEqual(await Promise.all([caller.call('add', 1, 2), caller.call('later', 'x')]), [3, 'x']);
  });

  it('reject with the error that was thrown, its code and fields included', async () => {
    await assert.rejects(caller.call('refuse'), (error: SealwrightError) => {
      assert.ok(error instanceof SealwrightError);
      assert.deepEqual([error.code, error.fields], ['port_held', { address: '127.0.0.1', port: 80 }]);
      return true;
    });
    await assert.rejects(caller.call('fail'), /^Error: not that$/);
    await assert.rejects(caller.call('uncopied'), /could not be cloned/);
  });

  it('come in their order, those that await nothing too', async () => {
    caller.tell('note', 'a');
    caller.tell('note', 'b');
    assert.equal(await caller.call('add', 1, 1), 2);
    assert.deepEqual(noted, ['a', 'b']);
  });

  it('reject once the other thread has ended', async () => {
    const calling = caller.call('add', 1, 2);
    caller.end(new Error('gone'));
    await assert.rejects(calling, /^Error: gone$/);
    await assert.rejects(caller.call('add', 1, 2), /^Error: gone$/);
    caller.tell('note', 'nobody hears');
    channel.port1.close();
    await once(channel.port2, 'close');
    called.end(new Error('gone'));
    assert.deepEqual(noted, []);
  });
});
