import { strict as assert } from 'node:assert';
import { KeySets } from '../../../ca/key-sets/key-sets.ts';
import type { KeyPlace } from '../../../src/policy/request-authentication.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const MINUTE = 60_000;
const place = (url: string): KeyPlace => ({ kind: 'address', url });

/** Lets everything that is settled go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('the keys of issuers that the CA reads', () => {
  let clock: FakeClock;
  let logger: RecordingLogger;
  let answers: (() => Promise<string>)[];
  let asked: string[];
  let changes: number;
  let sets: KeySets;

  beforeEach(() => {
    clock = new FakeClock();
    logger = new RecordingLogger();
    answers = [];
    asked = [];
    changes = 0;
    sets = new KeySets({
      fetch: (from) => {
        asked.push(from.kind === 'address' ? from.url : from.kind);
        const answer = answers.shift();
        return answer === undefined ? Promise.resolve('{"keys":[]}') : answer();
      },
      onChange: () => (changes += 1),
      clock,
      random: () => 0.5,
      logger,
    });
  });

  afterEach(() => sets.close());

  const keep = (...names: string[]) => sets.keep(new Map(names.map((name) => [name, place(name)])));

  it('are read at once when a policy names them, and no more when none does', async () => {
    keep('a', 'b');
    await settle();
    assert.deepEqual(asked, ['a', 'b']);
    assert.equal(sets.get('a')?.text, '{"keys":[]}');
    assert.equal(changes, 2);
    keep('b');
    assert.equal(sets.get('a'), undefined);
    clock.advance(22 * MINUTE);
    await settle();
    assert.deepEqual(asked, ['a', 'b', 'b']);
  });

  it('are read again every 20 minutes, and tell only of what changed', async () => {
    keep('a');
    await settle();
    clock.advance(19 * MINUTE);
    await settle();
    assert.equal(asked.length, 1);
    clock.advance(2 * MINUTE);
    await settle();
    assert.equal(asked.length, 2);
    assert.equal(changes, 1);
    answers.push(() => Promise.resolve('{"keys":[{}]}'));
    clock.advance(21 * MINUTE);
    await settle();
    assert.equal(sets.get('a')?.text, '{"keys":[{}]}');
    assert.equal(changes, 2);
  });

  it('stay the last good ones where a reading fails, which is tried again within a minute, then less often', async () => {
    keep('a');
    await settle();
    answers.push(
      () => Promise.reject(new Error('down')),
      () => Promise.reject(new Error('down')),
    );
    clock.advance(21 * MINUTE);
    await settle();
    assert.equal(sets.get('a')?.text, '{"keys":[]}');
    clock.advance(MINUTE / 2);
    await settle();
    assert.equal(asked.length, 3);
    clock.advance(MINUTE / 2);
    await settle();
    assert.equal(asked.length, 3);
    clock.advance(MINUTE / 2);
    await settle();
    assert.equal(asked.length, 4);
    assert.equal(logger.lines.filter(({ level }) => level === 'warn').length, 2);
  });

  it('are nothing where they were never read: tokens are refused (invariant 5)', async () => {
    answers.push(() => Promise.reject(new Error('down')));
    keep('a');
    await settle();
    assert.equal(sets.get('a'), undefined);
    assert.equal(changes, 0);
  });

  it('are read again when a sidecar asks, no faster than the limit, and it sees that they were', async () => {
    keep('a');
    await settle();
    for (let ask = 0; ask < 20; ask += 1) {
      sets.lookAgain('a');
      await settle();
    }
    assert.equal(asked.length, 4);
    assert.equal(sets.get('a')?.looks, 3);
    assert.equal(changes, 4);
    sets.lookAgain('unknown');
    clock.advance(11_000);
    sets.lookAgain('a');
    await settle();
    assert.equal(asked.length, 5);
  });

  it('are read once more where a sidecar asks during a reading, which may have come too early for it', async () => {
    const early = Promise.withResolvers<string>();
    answers.push(
      () => early.promise,
      () => Promise.resolve('{"keys":[{}]}'),
    );
    keep('a');
    await settle();
    sets.lookAgain('a');
    early.resolve('{"keys":[]}');
    await settle();
    assert.equal(asked.length, 2);
    assert.deepEqual([sets.get('a')?.text, sets.get('a')?.looks], ['{"keys":[{}]}', 1]);
  });

  it('are not read any more where no policy names them by the time that it is their turn', async () => {
    const first = Promise.withResolvers<string>();
    answers.push(...Array.from({ length: 16 }, () => () => first.promise));
    const sixteen = Array.from({ length: 16 }, (_, index) => `set-${index}`);
    keep(...sixteen, 'late');
    keep(...sixteen);
    first.resolve('{"keys":[]}');
    await settle();
    assert.equal(asked.length, 16);
  });

  it('are never read twice at once, and not too many at once', async () => {
    const waiting: PromiseWithResolvers<string>[] = [];
    for (let index = 0; index < 40; index += 1) {
      answers.push(() => {
        const pending = Promise.withResolvers<string>();
        waiting.push(pending);
        return pending.promise;
      });
    }
    keep(...Array.from({ length: 30 }, (_, index) => `set-${index}`));
    sets.lookAgain('set-0');
    await settle();
    assert.equal(asked.length, 16);
    for (let round = 0; round < 3; round += 1) {
      for (const pending of waiting.splice(0)) pending.resolve('{"keys":[]}');
      await settle();
    }
    assert.equal(new Set(asked).size, 30);
  });
});
