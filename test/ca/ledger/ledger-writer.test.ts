import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encodeEntry } from '../../../ca/ledger/entry-codec.ts';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import { LedgerWriter, type PendingEntry } from '../../../ca/ledger/ledger-writer.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { refusal } from './sample-entries.ts';

const withCode =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    error instanceof SealwrightError && error.code === code;

const identityOf = (entry: LedgerEntry): string => ('identity' in entry ? String(entry.identity) : '');

const refusals = (count: number): PendingEntry[] =>
  Array.from({ length: count }, () => ({
    body: encodeEntry(refusal()),
    time: 1,
    identity: identityOf(refusal()),
    serial: '',
    issuerKeyId: '',
    notAfter: 0,
  }));

describe("the ledger's writer", () => {
  let now: number;
  let folder: string;
  const open = (): LedgerWriter =>
    new LedgerWriter({
      databasePath: join(folder, 'ledger.db'),
      logKeyPath: join(folder, 'log-key.pem'),
      now: () => now,
    });

  beforeEach(function () {
    folder = temporaryFolder(this);
    now = 1_000_000;
  });

  it('keeps one tree head for each second in which it wrote, and always the last', () => {
    const writer = open();
    const kept = (): unknown[] =>
      writer.database
        .prepare('SELECT size FROM heads')
        .all()
        .map((row) => row['size']);
    assert.deepEqual(kept(), [0]);
    for (let commit = 0; commit < 5; commit += 1) {
      writer.commit(refusals(1));
      now += 300;
    }
    // At 0, 300, 600 and 900 ms the head is replaced; at 1200 ms the next second has begun.
    assert.deepEqual(kept(), [4, 5]);
    writer.commit(refusals(1));
    assert.deepEqual(kept(), [4, 6]);
    writer.close();
  });

  it('believes the tables rather than itself after a commit that failed', () => {
    const writer = open();
    writer.commit(refusals(3));
    writer.database.exec('PRAGMA max_page_count = 1');
    assert.throws(() => writer.commit(refusals(500)), withCode('ledger_unwritable'));
    writer.database.exec('PRAGMA max_page_count = 100000');
    assert.equal(writer.commit(refusals(1)).first, 3);
    writer.database.exec('PRAGMA max_page_count = 1');
    assert.throws(() => writer.commit(refusals(500)), withCode('ledger_unwritable'));
    writer.database.exec('PRAGMA max_page_count = 100000');
    const other = new DatabaseSync(join(folder, 'ledger.db'));
    other.exec('DELETE FROM entries WHERE idx = 3');
    other.close();
    assert.throws(() => writer.commit(refusals(1)), withCode('ledger_altered'));
    writer.close();
  });

  it('goes on past the subtrees that it keeps, wherever it was stopped', () => {
    let size = 0;
    for (const count of [255, 1, 1, 254, 2, 65_024, 1]) {
      const writer = open();
      assert.equal(writer.commit(refusals(count)).first, size);
      size += count;
      writer.close();
    }
    const writer = open();
    assert.equal(writer.head.size, 65_538);
    assert.equal(writer.database.prepare('SELECT count(*) AS n FROM nodes').get()?.['n'], 257);
    writer.close();
  });
});
