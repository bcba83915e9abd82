import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LedgerReader } from '../../../ca/ledger/ledger-reader.ts';
import { LedgerWriter } from '../../../ca/ledger/ledger-writer.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { temporaryFolder } from '../../fakes/folder.ts';

const withCode =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    error instanceof SealwrightError && error.code === code;

describe("the ledger's reading thread", () => {
  const url = new URL('../../../ca/ledger/ledger-reader-worker.ts', import.meta.url);
  const readerOf = (databasePath: string): { reader: LedgerReader; started: Worker[] } => {
    const started: Worker[] = [];
    const reader = new LedgerReader(() => {
      const worker = new Worker(url, { workerData: { databasePath } });
      started.push(worker);
      return worker;
    });
    return { reader, started };
  };

  it('is started by the first question, and again by the next one after it died', async function () {
    const folder = temporaryFolder(this);
    const paths = { databasePath: join(folder, 'ledger.db'), logKeyPath: join(folder, 'log-key.pem') };
    const writer = new LedgerWriter({ ...paths, now: () => 1 });
    const { reader, started } = readerOf(paths.databasePath);
    assert.equal(started.length, 0);
    assert.equal(await reader.ask('size'), 0);
    // Ended first: a thread that lives may answer before it is told to end.
    const ended = started[0]!.terminate();
    await assert.rejects(reader.ask('size'), withCode('ledger_unreadable'));
    await ended;
    assert.equal(await reader.ask('size'), 0);
    assert.equal(started.length, 2);
    await reader.close();
    await assert.rejects(reader.ask('size'), withCode('ledger_closed'));
    writer.close();
  });

  it('says why it cannot read', async function () {
    const { reader } = readerOf(join(temporaryFolder(this), 'nothing.db'));
    await assert.rejects(reader.ask('size'), withCode('ledger_unreadable'));
    await reader.close();
  });

  it('takes a bounded number of questions at once', async function () {
    const { reader } = readerOf(join(temporaryFolder(this), 'nothing.db'));
    const asked = Array.from({ length: 1_100 }, () => reader.ask('size'));
    const results = await Promise.allSettled(asked);
    const overloaded = results.filter(
      (result) => result.status === 'rejected' && withCode('ledger_overloaded')(result.reason),
    );
    assert.equal(overloaded.length, 1_100 - 1_024);
    await reader.close();
  });
});
