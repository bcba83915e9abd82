import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { MergedLines } from '../../../proxy/workers/merged-lines.ts';
import { packUpdate, unpackUpdate } from '../../../proxy/workers/packed-update.ts';
import { RelayedKeySets } from '../../../proxy/workers/relayed-key-sets.ts';
import { RelayedLines } from '../../../proxy/workers/relayed-lines.ts';
import { FakeClock } from '../../fakes/clock.ts';

describe('a push that crosses between threads', () => {
  it('comes out as it went in, and takes nothing else along', () => {
    const plain = { noNullPrototype: true };
    const body = fc.record({ typeUrl: fc.string(), value: fc.uint8Array() }, plain);
    const aliases = fc.array(fc.string(), { maxLength: 3 });
    const resource = fc.record({ name: fc.string(), version: fc.string(), aliases, body }, plain);
    const changed = fc.array(resource, { maxLength: 20 });
    const update = fc.record({ changed, removed: fc.array(fc.string()), systemVersion: fc.string() }, plain);
    fc.assert(
      fc.property(update, (before) => {
        const packed = packUpdate(before);
        const bytes = before.changed.reduce((sum, { body }) => sum + body.value.length, 0);
        assert.equal(packed.bytes.buffer.byteLength, bytes);
        const { changed: came, removed, systemVersion } = unpackUpdate(structuredClone(packed));
        const after = came.map((each) => ({
          ...each,
          body: { ...each.body, value: Uint8Array.from(each.body.value) },
        }));
        assert.deepEqual({ changed: after, removed, systemVersion }, before);
      }),
    );
  });
});

describe('the access log of several threads', () => {
  const KIB = 1_024;
  let written: string[];
  let room: boolean;
  let drained: () => void;
  let merged: MergedLines;

  beforeEach(() => {
    [written, room] = [[], true];
    merged = new MergedLines({
      write: (lines) => {
        written.push(lines);
        return room;
      },
      onDrain: (listener) => (drained = listener),
    });
  });

  const thread = (): RelayedLines => {
    const relayed: RelayedLines = new RelayedLines((lines) => merged.write(lines, () => relayed.taken(lines.length)));
    return relayed;
  };

  it('is written line by line, whoever was first', () => {
    const [one, other] = [thread(), thread()];
    assert.equal(one.write('a\n', 1), true);
    assert.equal(other.write('b\n', 1), true);
    assert.equal(one.write('c\n', 1), true);
    assert.deepEqual(written, ['a\n', 'b\n', 'c\n']);
  });

  it('waits in its thread while nobody reads it, and goes on when somebody does', () => {
    const one = thread();
    let resumed = 0;
    one.onDrain(() => (resumed += 1));
    room = false;
    const line = `${'x'.repeat(64 * KIB - 1)}\n`;
    let sent = 0;
    while (one.write(line, 1)) sent += 1;
    assert.ok(sent < 8, `${sent} pieces of 64 KiB went to a log that nobody reads`);
    assert.equal(resumed, 0);
    room = true;
    drained();
    assert.equal(resumed, 1);
    assert.equal(one.write(line, 1), true);
  });
});

describe('the keys of issuers in one of several threads', () => {
  let clock: FakeClock;
  let asked: PromiseWithResolvers<boolean>[];
  let keys: RelayedKeySets;

  beforeEach(() => {
    [clock, asked] = [new FakeClock(), []];
    keys = new RelayedKeySets({
      find: () => undefined,
      lookAgain: () => {
        const answer = Promise.withResolvers<boolean>();
        asked.push(answer);
        return answer.promise;
      },
      clock,
    });
  });

  it('are asked for once by all that wait', async () => {
    const waiting = [keys.askAgain('issuer', 10), keys.askAgain('issuer', 10)];
    assert.equal(asked.length, 1);
    asked[0]?.resolve(true);
    for (const each of waiting) await each;
    assert.ok(keys.askAgain('issuer', 10));
  });

  it('are not asked for again so soon after a no, whatever tokens come', async () => {
    const waiting = keys.askAgain('issuer', 10);
    asked[0]?.resolve(false);
    await waiting;
    assert.equal(keys.askAgain('issuer', 10), undefined);
    assert.ok(keys.askAgain('another', 10));
    clock.advance(1_000);
    assert.ok(keys.askAgain('issuer', 10));
  });
});
