import { strict as assert } from 'node:assert';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import { encodeEntry } from '../../../ca/ledger/entry-codec.ts';
import { RefusalCounter } from '../../../ca/ledger/refusal-counter.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

describe('the counter of unauthenticated refusals', () => {
  const parts = (append?: (entry: LedgerEntry) => Promise<unknown>) => {
    const clock = new FakeClock(0);
    const appended: LedgerEntry[] = [];
    const logger = new RecordingLogger();
    const keep = async (entry: LedgerEntry): Promise<void> => void appended.push(entry);
    return { clock, appended, logger, counter: new RefusalCounter({ append: append ?? keep, clock, logger }) };
  };

  it('ledgers one summary a minute, whatever comes, and none when nothing does', () => {
    const { clock, appended, counter } = parts();
    clock.advance(5_000);
    for (let index = 0; index < 10_000; index += 1)
      counter.count(index % 2 ? 'token_expired' : 'token_issuer', '10.0.0.1');
    counter.count('token_issuer', '10.0.0.2');
    assert.deepEqual(appended, []);
    clock.advance(60_000);
    const counts = { token_issuer: 5_001, token_expired: 5_000 };
    assert.deepEqual(appended, [{ kind: 'refusal-summary', from: 5_000, to: 65_000, counts, callers: 2 }]);
    clock.advance(600_000);
    assert.equal(appended.length, 1);
    assert.equal(clock.nextDue, undefined);
    counter.count('token_expired', '10.0.0.1');
    clock.advance(60_000);
    assert.equal(appended.length, 2);
  });

  it('is bounded in reasons and callers, and always makes an entry that can be written', () => {
    const { clock, appended, counter } = parts();
    for (let index = 0; index < 5_000; index += 1)
      counter.count(`reason_${index}`, `10.0.${index >> 8}.${index & 255}`);
    counter.count('Not A Code\0', '::1');
    counter.count('__proto__', '::1');
    clock.advance(60_000);
    const [summary] = appended;
    assert.ok(summary?.kind === 'refusal-summary');
    assert.equal(
      Object.values(summary.counts).reduce((sum, count) => sum + count, 0),
      5_002,
    );
    assert.ok(Object.keys(summary.counts).length <= 65);
    assert.equal(summary.callers, 1_024);
    assert.ok(encodeEntry(summary).length < 8_192);
  });

  it('carries what could not be ledgered over into the next summary', async () => {
    const appended: LedgerEntry[] = [];
    let full = true;
    const { clock, logger, counter } = parts(async (entry) => {
      if (full) throw new SealwrightError('ledger_unwritable');
      appended.push(entry);
    });
    counter.count('token_expired', '10.0.0.1');
    clock.advance(60_000);
    await new Promise(setImmediate);
    assert.match(logger.text, /next summary/);
    full = false;
    clock.advance(30_000);
    counter.count('token_expired', '10.0.0.2');
    clock.advance(30_000);
    assert.deepEqual(appended, [
      { kind: 'refusal-summary', from: 0, to: 120_000, counts: { token_expired: 2 }, callers: 2 },
    ]);
  });

  it('ledgers the rest when it closes', async () => {
    const { clock, appended, counter } = parts();
    counter.count('token_expired', '10.0.0.1');
    await counter.close();
    assert.equal(appended.length, 1);
    assert.equal(clock.nextDue, undefined);
  });
});
