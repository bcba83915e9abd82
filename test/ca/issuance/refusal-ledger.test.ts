import { strict as assert } from 'node:assert';
import { RefusalLedger } from '../../../ca/issuance/refusal-ledger.ts';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';

const identityOf = (name: string): SpiffeId => SpiffeId.parse(`spiffe://cluster.local/ns/shop/sa/${name}`);

describe('the refusals of proven callers', () => {
  const setUp = (append?: () => Promise<unknown>) => {
    const clock = new FakeClock();
    const logger = new RecordingLogger();
    const entries: LedgerEntry[] = [];
    const counted: string[] = [];
    const ledger = new RefusalLedger({
      append: append ?? (async (entry) => entries.push(entry)),
      countOnly: (reason) => counted.push(reason),
      clock,
      logger,
    });
    const refuse = (name: string, reason = 'csr_invalid'): Promise<void> =>
      ledger.record({ kind: 'refusal', identity: identityOf(name), reason, detail: 'x' });
    return { clock, logger, entries, counted, ledger, refuse };
  };

  it('are ledgered one by one up to a few, and then as one entry for an identity and minute', async () => {
    const { clock, entries, refuse } = setUp();
    for (let i = 0; i < 500; i += 1) await refuse('flood');
    for (let i = 0; i < 7; i += 1) await refuse('flood', 'pem_invalid');
    await refuse('other');
    assert.equal(entries.length, 11);
    clock.advance(60_000);
    assert.equal(entries.length, 12);
    const last = entries.at(-1);
    assert.ok(last?.kind === 'refusal' && last.identity.equals(identityOf('flood')) && last.reason === 'csr_invalid');
    assert.match(last.detail, /csr_invalid 490, pem_invalid 7$/);
    clock.advance(600_000);
    assert.equal(entries.length, 12);
    assert.equal(clock.nextDue, undefined, 'an idle identity is forgotten');
  });

  it('are only counted beyond the identities that are told apart', async () => {
    const { clock, entries, counted, refuse } = setUp();
    for (let i = 0; i < 1_030; i += 1) await refuse(`w${i}`);
    assert.deepEqual([entries.length, counted.length], [1_024, 6]);
    clock.advance(120_000);
    await refuse('w1029');
    assert.equal(entries.length, 1_025);
  });

  it('are ledgered at the end, and logged where they could not be ledgered', async () => {
    const { entries, ledger, refuse } = setUp();
    for (let i = 0; i < 12; i += 1) await refuse('flood');
    await ledger.close();
    assert.equal(entries.length, 11);
    const broken = setUp(() => Promise.reject(new Error('full')));
    await broken.refuse('a');
    assert.match(broken.logger.text, /a refusal could not be ledgered/);
  });
});
