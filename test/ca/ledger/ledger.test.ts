import { strict as assert } from 'node:assert';
import { copyFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LedgerWriter } from '../../../ca/ledger/ledger-writer.ts';
import { leafHash, verifyConsistency, verifyInclusion } from '../../../ca/ledger/merkle.ts';
import { openLedger, type Ledger, type LedgerOptions } from '../../../ca/ledger/ledger.ts';
import { verifyTreeHead } from '../../../ca/ledger/tree-head.ts';
import { SealwrightError, type ErrorCode } from '../../../src/core/errors.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { CATALOG, CHECKOUT, createIssuanceMaker, refusal, type MakeIssuance } from './sample-entries.ts';
import { WriterControl } from './writer-control.ts';

const withCode =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    error instanceof SealwrightError && error.code === code;

const writerUrl = new URL('./obedient-writer-worker.ts', import.meta.url);

describe('the ledger', () => {
  let issuance: MakeIssuance;
  let folder: string;
  let open: Ledger[];
  const clock = new FakeClock();
  const logger = new RecordingLogger();

  const start = async (changes: Partial<LedgerOptions> = {}): Promise<Ledger> => {
    const paths = { databasePath: join(folder, 'ledger.db'), logKeyPath: join(folder, 'log-key.pem') };
    const ledger = await openLedger({ ...paths, clock, logger, ...changes });
    open.push(ledger);
    return ledger;
  };
  /** Runs SQL on the file beside whoever has it open. */
  const tell = (sql: string): void => {
    const database = new DatabaseSync(join(folder, 'ledger.db'), { timeout: 5_000 });
    database.exec(sql);
    database.close();
  };

  before(async () => {
    issuance = await createIssuanceMaker();
  });
  beforeEach(function () {
    folder = temporaryFolder(this);
    open = [];
  });
  afterEach(async () => {
    await Promise.all(open.map((ledger) => ledger.close()));
  });

  it('keeps what was appended, in order, with its time', async () => {
    const ledger = await start();
    const made = [issuance(), refusal(), issuance({ identity: CHECKOUT })];
    const receipts = await Promise.all(made.map((entry) => ledger.append(entry)));
    assert.deepEqual(receipts, [{ index: 0 }, { index: 1 }, { index: 2 }]);
    for (const [index, entry] of made.entries()) {
      assert.deepEqual(await ledger.entryAt(index), { index, time: clock.now(), entry });
    }
    await assert.rejects(ledger.entryAt(3), withCode('ledger_range'));
    await assert.rejects(ledger.entryAt(-1), withCode('ledger_range'));
  });

  it('makes its files for nobody else to read', async () => {
    await start();
    for (const name of ['ledger.db', 'ledger.db-wal', 'log-key.pem']) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
  });

  it('shares one commit among all that was appended while another ran', async () => {
    const ledger = await start();
    let commits = 0;
    const stop = ledger.onTreeHead(() => (commits += 1));
    await Promise.all(Array.from({ length: 100 }, () => ledger.append(refusal())));
    assert.ok(commits <= 2, `${commits} commits for 100 entries`);
    stop();
    await ledger.append(refusal());
    assert.ok(commits <= 2, 'a listener that left is not called');
    assert.equal(ledger.treeHead.size, 101);
  });

  it('signs a head that covers all that is durable, with every commit', async () => {
    const ledger = await start();
    assert.equal(ledger.treeHead.size, 0);
    await ledger.append(refusal());
    assert.equal(ledger.treeHead.size, 1);
    assert.ok(verifyTreeHead(ledger.treeHead, ledger.publicKey));
    assert.ok(!verifyTreeHead({ ...ledger.treeHead, size: 2 }, ledger.publicKey));
    assert.ok(!verifyTreeHead({ ...ledger.treeHead, epoch: 2 }, ledger.publicKey));
    assert.ok(!verifyTreeHead({ ...ledger.treeHead, time: 1 }, ledger.publicKey));
  });

  it('goes on where it was after a restart, in a new epoch and under the same key', async () => {
    const first = await start();
    await Promise.all(Array.from({ length: 700 }, (_, index) => first.append(refusal(`${index}`))));
    const before = first.treeHead;
    await first.close();
    const second = await start();
    assert.equal(second.epoch, first.epoch + 1);
    assert.equal(second.treeHead.logId, before.logId);
    assert.equal(second.treeHead.rootHash, before.rootHash);
    assert.deepEqual(await second.append(refusal()), { index: 700 });
    const proof = await second.consistencyProof(before.size, second.treeHead.size);
    const [firstRoot, secondRoot] = [before.rootHash, second.treeHead.rootHash].map((hash) => Buffer.from(hash, 'hex'));
    assert.ok(verifyConsistency({ first: 700, second: 701, firstRoot: firstRoot!, secondRoot: secondRoot!, proof }));
  });

  it('proves that an entry stands in it', async () => {
    const ledger = await start();
    await Promise.all(Array.from({ length: 600 }, (_, index) => ledger.append(refusal(`${index}`))));
    for (const index of [0, 255, 256, 511, 512, 599]) {
      const { recorded, line, head, proof } = await ledger.inclusionProof(index);
      assert.equal(recorded.index, index);
      const root = Buffer.from(head.rootHash, 'hex');
      assert.ok(verifyInclusion({ index, size: head.size, leaf: leafHash(line), proof, root }));
    }
    await assert.rejects(ledger.inclusionProof(600), withCode('ledger_range'));
    await assert.rejects(ledger.consistencyProof(3, 601), withCode('ledger_range'));
    await assert.rejects(ledger.consistencyProof(5, 4), withCode('ledger_range'));
  });

  it('answers by identity, by serial and with the newest of each identity', async () => {
    const ledger = await start();
    const [old, other, renewed] = [issuance(), issuance({ identity: CHECKOUT }), issuance()];
    for (const entry of [old, other, refusal('no'), renewed]) await ledger.append(entry);

    const latest = await ledger.latestIssuances();
    assert.deepEqual(
      latest.issuances.map(({ index }) => index),
      [3, 1],
    );
    assert.equal(latest.next, undefined);
    const firstPage = await ledger.latestIssuances({ limit: 1 });
    assert.deepEqual(
      firstPage.issuances.map(({ entry }) => entry.serial),
      [renewed.serial],
    );
    const secondPage = await ledger.latestIssuances({ limit: 1, after: firstPage.next! });
    assert.deepEqual(
      secondPage.issuances.map(({ entry }) => entry.serial),
      [other.serial],
    );

    const history = await ledger.historyOf(CATALOG);
    assert.deepEqual(
      history.map(({ index, entry }) => [index, entry.kind]),
      [
        [3, 'issuance'],
        [2, 'refusal'],
        [0, 'issuance'],
      ],
    );
    assert.deepEqual(
      (await ledger.historyOf(CATALOG, { before: 3, limit: 1 })).map(({ index }) => index),
      [2],
    );

    assert.deepEqual((await ledger.issuanceBySerial(old.serial.toUpperCase()))?.entry, old);
    assert.equal(await ledger.issuanceBySerial('00'), undefined);
    assert.deepEqual(await ledger.askerOf(old.serial), old.caller);
    assert.equal(await ledger.askerOf('00'), undefined);
  });

  it('knows how far the certificates of each issuing key reach', async () => {
    const ledger = await start();
    const [early, late] = [Date.parse('2026-02-01T00:00:00Z'), Date.parse('2026-03-01T00:00:00Z')];
    await ledger.append(issuance({ issuerKeyId: 'aa', notAfter: late }));
    await Promise.all([
      ledger.append(issuance({ issuerKeyId: 'aa', notAfter: early })),
      ledger.append(issuance({ issuerKeyId: 'bb', notAfter: early })),
      ledger.append(refusal()),
    ]);
    assert.deepEqual(await ledger.issuers(), [
      { issuerKeyId: 'aa', issuances: 2, lastNotAfter: late },
      { issuerKeyId: 'bb', issuances: 1, lastNotAfter: early },
    ]);
  });

  it('refuses a serial that was used, and nothing else of the same commit (invariant 3)', async () => {
    const ledger = await start();
    const twice = issuance();
    const results = await Promise.allSettled(
      [twice, refusal(), twice, issuance()].map((entry) => ledger.append(entry)),
    );
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value.index : 'refused')),
      [0, 1, 'refused', 2],
    );
    await assert.rejects(ledger.append(issuance({ serial: twice.serial })), withCode('ledger_serial_taken'));
    assert.equal(ledger.treeHead.size, 3);
    await ledger.close();
    await (await start()).append(refusal());
  });

  it('refuses what does not fit its queue, at once, and keeps what does', async () => {
    const ledger = await start({ maxQueued: 10 });
    const results = await Promise.allSettled(Array.from({ length: 15 }, () => ledger.append(refusal())));
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 5);
    for (const { reason } of refused) assert.ok(withCode('ledger_overloaded')(reason));
    assert.equal(new SealwrightError('ledger_overloaded').facts.grpc, 'UNAVAILABLE');
    await ledger.append(refusal());
    assert.equal(ledger.treeHead.size, 11);
  });

  it('writes what waits before it closes, and refuses what comes later', async () => {
    const ledger = await start();
    const appended = Array.from({ length: 50 }, () => ledger.append(refusal()));
    // Let them reach the queue: append encodes before it queues.
    await Promise.resolve();
    const closed = ledger.close();
    await assert.rejects(ledger.append(refusal()), withCode('ledger_closed'));
    assert.equal((await Promise.all(appended)).length, 50);
    await closed;
    await assert.rejects(ledger.append(refusal()), withCode('ledger_closed'));
    await assert.rejects(ledger.entryAt(0), withCode('ledger_closed'));
    assert.equal((await start()).treeHead.size, 50);
  });

  it('stops the older of two writers, which then records nothing more', async () => {
    const older = await start();
    await older.append(refusal('before'));
    const newer = await start();
    await assert.rejects(older.append(refusal('too late')), withCode('ledger_fenced'));
    await assert.rejects(older.append(refusal('later still')), withCode('ledger_fenced'));
    assert.match(logger.text, /the ledger stopped/);
    assert.deepEqual(await newer.append(refusal('after')), { index: 1 });
    const history = await newer.historyOf(CATALOG);
    assert.deepEqual(
      history.map(({ entry }) => entry.kind === 'refusal' && entry.detail),
      ['after', 'before'],
    );
  });

  it('stops when its file is replaced under it', async () => {
    const ledger = await start();
    await ledger.append(refusal());
    renameSync(join(folder, 'ledger.db'), join(folder, 'away.db'));
    await assert.rejects(ledger.append(refusal()), withCode('ledger_missing'));
  });

  it('refuses while the disk is full, loses nothing, and goes on when there is room again', async () => {
    const ledger = await start({ writerUrl });
    await ledger.append(refusal('first'));
    const control = new WriterControl(folder);
    await control.limitPages(1);
    const big = Array.from({ length: 100 }, () => ledger.append(issuance()));
    for (const result of await Promise.allSettled(big)) {
      assert.equal(result.status, 'rejected');
      assert.ok(withCode('ledger_unwritable')(result.reason));
      assert.match(String(result.reason.fields.reason), /full/);
    }
    await assert.rejects(Promise.all(Array.from({ length: 50 }, () => ledger.append(issuance()))));
    assert.equal(ledger.treeHead.size, 1);
    await control.limitPages(1_000_000);
    control.close();
    assert.deepEqual(await ledger.append(issuance()), { index: 1 });
    await ledger.close();
    const again = await start();
    assert.equal(again.treeHead.size, 2);
    assert.equal((await again.historyOf(CATALOG)).length, 2);
  });

  it('rejects what waits, and whatever comes later, when the writer dies', async () => {
    const ledger = await start({ writerUrl });
    await ledger.append(refusal());
    const control = new WriterControl(folder);
    control.die();
    const results = await Promise.allSettled(Array.from({ length: 200 }, () => ledger.append(refusal('x'))));
    control.close();
    // The message and the batch race; whatever was not answered before the death is rejected by it.
    await assert.rejects(async () => {
      for (;;) await ledger.append(refusal());
    }, withCode('ledger_stopped'));
    assert.ok(results.every((result) => result.status === 'fulfilled' || withCode('ledger_stopped')(result.reason)));
    await ledger.close();
  });

  it('does not start on a ledger that is not what its last tree head says', async function () {
    const tampering: [string, RegExp][] = [
      [`UPDATE entries SET line = replace(line, 'entry 7', 'entry X') WHERE idx = 7`, /entry 7 was changed/],
      [`DELETE FROM entries WHERE idx = 19`, /taken away/],
      [`DELETE FROM entries WHERE idx = 7`, /missing|root/],
      [
        `INSERT INTO entries (idx, leaf_hash, line) SELECT idx + 1, leaf_hash, line FROM entries WHERE idx = 19`,
        /added/,
      ],
      [`UPDATE entries SET leaf_hash = zeroblob(32) WHERE idx = 3`, /entry 3/],
      [`UPDATE entries SET identity = 'spiffe://cluster.local/ns/a/sa/b' WHERE idx = 3`, /column of entry 3/],
      [`UPDATE entries SET serial = 'ff' WHERE idx = 3`, /column of entry 3/],
      [`UPDATE heads SET size = size - 1`, /not signed/],
      [`DELETE FROM heads`, /without a tree head/],
    ];
    for (const [sql, reason] of tampering) {
      folder = temporaryFolder(this);
      const ledger = await start();
      await Promise.all(Array.from({ length: 20 }, (_, index) => ledger.append(refusal(`entry ${index}`))));
      await ledger.close();
      tell(sql);
      await assert.rejects(start(), (error) => {
        assert.ok(withCode('ledger_altered')(error), `${sql}: ${String(error)}`);
        assert.match(String(error), reason);
        assert.match(String(error), /backup/);
        return true;
      });
    }
  });

  it('answers with nothing that its columns alone say', async () => {
    const ledger = await start();
    const [one, other] = [issuance(), issuance({ identity: CHECKOUT })];
    await ledger.append(one);
    await ledger.append(other);
    tell(`UPDATE entries SET serial = 'ff' WHERE idx = 0`);
    tell(`UPDATE entries SET identity = '${String(one.identity)}' WHERE idx = 1`);
    await assert.rejects(ledger.issuanceBySerial('ff'), withCode('ledger_altered'));
    await assert.rejects(ledger.askerOf('FF'), withCode('ledger_altered'));
    await assert.rejects(ledger.historyOf(one.identity), withCode('ledger_altered'));
    assert.equal((await ledger.issuanceBySerial(other.serial))?.index, 1);
    await ledger.close();
  });

  it('does not start without its key, with another key, or with a key whose ledger is gone', async function () {
    const ledger = await start();
    await ledger.append(refusal());
    await ledger.close();
    const key = join(folder, 'log-key.pem');
    renameSync(key, join(folder, 'kept.pem'));
    await assert.rejects(start(), withCode('ledger_log_key'));
    writeFileSync(key, 'not a key', { mode: 0o600 });
    await assert.rejects(start(), withCode('ledger_log_key'));
    const elsewhere = temporaryFolder(this);
    const other = await start({
      databasePath: join(elsewhere, 'ledger.db'),
      logKeyPath: join(elsewhere, 'log-key.pem'),
    });
    await other.close();
    copyFileSync(join(elsewhere, 'log-key.pem'), key);
    await assert.rejects(start(), withCode('ledger_log_key'));
    copyFileSync(join(folder, 'kept.pem'), key);
    await (await start()).close();
    rmSync(join(folder, 'ledger.db'));
    await assert.rejects(start(), withCode('ledger_missing'));
  });

  it('does not open what a newer release wrote, or what is no ledger', async function () {
    await (await start()).close();
    tell('PRAGMA user_version = 2');
    await assert.rejects(start(), withCode('ledger_version'));
    folder = temporaryFolder(this);
    writeFileSync(join(folder, 'ledger.db'), '', { mode: 0o600 });
    tell('CREATE TABLE something (else_ TEXT)');
    await assert.rejects(start(), withCode('ledger_version'));
    await assert.rejects(start({ databasePath: folder }), withCode('ledger_unwritable'));
  });

  it('never lets its heads go back in time, whatever the clock does', async () => {
    // The writing thread reads the real clock, so the last head is put into the future instead.
    const future = Date.now() + 3_600_000;
    const paths = { databasePath: join(folder, 'ledger.db'), logKeyPath: join(folder, 'log-key.pem') };
    new LedgerWriter({ ...paths, now: () => future }).close();
    const ledger = await start();
    await ledger.append(refusal());
    assert.equal(ledger.treeHead.time, future);
  });
});
