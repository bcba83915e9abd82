import { strict as assert } from 'node:assert';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { LedgerEntry } from '../../../ca/ledger/entry.ts';
import { encodeEntry, lineOf } from '../../../ca/ledger/entry-codec.ts';
import { LedgerWriter, type PendingEntry } from '../../../ca/ledger/ledger-writer.ts';
import { createQueries } from '../../../ca/ledger/ledger-queries.ts';
import { openForReading } from '../../../ca/ledger/ledger-database.ts';
import { CompactRange, leafHash } from '../../../ca/ledger/merkle.ts';
import { isHeadLine, writeExport } from '../../../ca/ledger/export.ts';
import {
  decodeTreeHead,
  encodeTreeHead,
  logIdOf,
  signTreeHead,
  type SignedTreeHead,
} from '../../../ca/ledger/tree-head.ts';
import { verifyExport, verifyLedger, type LedgerReport } from '../../../ca/ledger/verify-ledger.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { CHECKOUT, createIssuanceMaker, refusal, type MakeIssuance } from './sample-entries.ts';

describe('verifying a ledger', () => {
  let issuance: MakeIssuance;
  let databasePath: string;
  let logKeyPath: string;
  let lines: string[];
  let exportedHead: SignedTreeHead;
  let writerKey: LedgerWriter['publicKey'];

  const pending = (entry: LedgerEntry): PendingEntry => ({
    body: encodeEntry(entry),
    time: 1,
    identity: 'identity' in entry ? String(entry.identity) : '',
    serial: entry.kind === 'issuance' ? entry.serial : '',
    issuerKeyId: entry.kind === 'issuance' ? entry.issuerKeyId : '',
    notAfter: 0,
  });

  const exportLines = async (): Promise<string[]> => {
    const database = openForReading(databasePath);
    const queries = createQueries(database);
    const page = async (from: number, upTo: number) => queries.exportPage(from, upTo, 7);
    const exported: string[] = [];
    for await (const line of writeExport({ publicKey: writerKey, head: exportedHead, page })) exported.push(line);
    database.close();
    return exported;
  };

  const tell = (sql: string): void => {
    const database = new DatabaseSync(databasePath);
    database.exec(sql);
    database.close();
  };

  const codesOf = (report: LedgerReport): string[] => report.findings.map(({ code }) => code);
  const found = (report: LedgerReport, code: string, path: string): void => {
    assert.ok(
      report.findings.some((finding) => finding.code === code && finding.path === path),
      `${code} at ${path} is not among ${JSON.stringify(report.findings, undefined, 1)}`,
    );
    assert.ok(report.problems > 0);
  };

  before(async () => {
    issuance = await createIssuanceMaker();
  });

  // 40 entries in 20 commits, one every 400 ms, so that there are several heads; opened twice.
  beforeEach(function () {
    const folder = temporaryFolder(this);
    databasePath = join(folder, 'ledger.db');
    logKeyPath = join(folder, 'log-key.pem');
    let now = 1_000_000;
    for (let opening = 0; opening < 2; opening += 1) {
      const writer = new LedgerWriter({ databasePath, logKeyPath, now: () => now });
      for (let commit = 0; commit < 10; commit += 1) {
        now += 400;
        writer.commit([pending(issuance()), pending(refusal(`refusal ${opening}.${commit}`))]);
      }
      exportedHead = writer.head;
      writerKey = writer.publicKey;
      writer.close();
    }
  });

  it('finds nothing in what the writer wrote', async () => {
    lines = await exportLines();
    const report = await verifyExport(lines, { logId: logIdOf(writerKey), remembered: [exportedHead] });
    assert.deepEqual(report.findings, []);
    assert.equal(report.entries, 40);
    assert.equal(report.kinds.issuance, 20);
    assert.ok(report.heads >= 8 && report.heads < 20, `${report.heads} heads`);
    assert.deepEqual(report.lastHead, exportedHead);
    assert.equal(lines.filter(isHeadLine).length, report.heads);
    assert.ok(isHeadLine(lines.at(-1)!));
  });

  it('judges entries and heads given apart as it judges an export', async () => {
    lines = await exportLines();
    const heads = lines.filter(isHeadLine).map(decodeTreeHead);
    const entries = lines.slice(1).filter((line) => !isHeadLine(line));
    const report = await verifyLedger({ entries, heads, publicKey: writerKey });
    assert.deepEqual(report.findings, []);
    assert.equal(report.entries, 40);
    const shorter = await verifyLedger({ entries: entries.slice(0, 39), heads, publicKey: writerKey });
    assert.deepEqual(codesOf(shorter).includes('ledger_truncated'), true);
  });

  it('finds an edited row, and says between which heads it lies', async () => {
    tell(`UPDATE entries SET line = replace(line, 'refusal 1.2', 'refusal 1.X') WHERE idx = 25`);
    const report = await verifyExport(await exportLines());
    assert.equal(report.problems, 1);
    const [finding] = report.findings;
    assert.equal(finding?.code, 'ledger_altered');
    const [, from, to] = /^entries (\d+) to (\d+)$/.exec(finding.path)!;
    assert.ok(Number(from) <= 25 && 25 <= Number(to), finding.path);
    assert.equal(report.lastHead?.size, Number(from));
  });

  it('finds a deleted row by its place', async () => {
    tell('DELETE FROM entries WHERE idx = 12');
    const report = await verifyExport(await exportLines());
    found(report, 'ledger_sequence', 'entry 13');
    assert.equal(codesOf(report).filter((code) => code === 'ledger_sequence').length, 1);
    assert.ok(codesOf(report).includes('ledger_altered'));
    assert.ok(codesOf(report).includes('ledger_truncated'));
  });

  it('finds two rows that changed places', async () => {
    lines = await exportLines();
    const [first, second] = lines.flatMap((line, at) => (/"index":2[01],/.test(line) ? at : []));
    [lines[first!], lines[second!]] = [lines[second!]!, lines[first!]!];
    const report = await verifyExport(lines);
    found(report, 'ledger_sequence', 'entry 21');
    assert.ok(codesOf(report).includes('ledger_altered'));
  });

  it('finds that the end is missing, by its heads or, without these, by a head that somebody remembers', async () => {
    lines = await exportLines();
    const cut = lines.filter((line) => !/"index":3[5-9],/.test(line));
    assert.ok(codesOf(await verifyExport(cut)).includes('ledger_truncated'));
    const withoutHeads = cut.filter((line) => !isHeadLine(line) || decodeTreeHead(line).size <= 35);
    const unaware = await verifyExport(withoutHeads);
    assert.ok(!codesOf(unaware).includes('ledger_truncated'));
    const aware = await verifyExport(withoutHeads, { remembered: [exportedHead] });
    found(aware, 'ledger_truncated', 'remembered head of size 40');
  });

  it('finds a tree that was hashed again without the key of the log', async () => {
    const altered = { ...issuance(), identity: CHECKOUT };
    lines = await exportLines();
    const range = CompactRange.empty();
    const forger = generateKeyPairSync('ed25519').privateKey;
    const forged = lines.map((line, at) => {
      if (at === 0) return line;
      if (isHeadLine(line)) {
        const head = { ...decodeTreeHead(line), rootHash: range.root().toString('hex') };
        return encodeTreeHead({ ...head, signature: signTreeHead(head, forger).signature });
      }
      const written = range.size === 20 ? lineOf(encodeEntry(altered), 20, 1) : line;
      range.append(leafHash(written));
      return written;
    });
    const report = await verifyExport(forged);
    assert.ok(codesOf(report).filter((code) => code === 'ledger_head_signature').length > 5);
    assert.ok(codesOf(report).includes('ledger_uncovered'));
    assert.equal(report.lastHead, undefined);
  });

  it('finds that a whole other log was put in its place', async () => {
    lines = await exportLines();
    const report = await verifyExport(lines, { logId: 'ab'.repeat(32) });
    found(report, 'ledger_other_log', 'header');
    const other = generateKeyPairSync('ed25519');
    const headOfOther = signTreeHead({ ...exportedHead, logId: logIdOf(other.publicKey) }, other.privateKey);
    const remembering = await verifyExport(lines, { remembered: [headOfOther] });
    found(remembering, 'ledger_head_signature', 'remembered head of size 40');
  });

  it('finds a fork: the same size, signed twice', async () => {
    const forked = join(databasePath, '..', 'fork.db');
    tell(`VACUUM INTO '${forked}'`);
    chmodSync(forked, 0o600);
    const fork = new LedgerWriter({ databasePath: forked, logKeyPath, now: () => 2_000_000 });
    fork.commit([pending(refusal('only in the fork'))]);
    const writer = new LedgerWriter({ databasePath, logKeyPath, now: () => 2_000_000 });
    writer.commit([pending(refusal('only here'))]);
    exportedHead = writer.head;
    const report = await verifyExport(await exportLines(), { remembered: [fork.head] });
    assert.deepEqual(codesOf(report), ['ledger_altered']);
    fork.close();
    writer.close();
  });

  it('finds entries that no head covers, and heads that are out of order or unreadable', async () => {
    lines = await exportLines();
    const body = encodeEntry(refusal('slipped in'));
    const appended = await verifyExport([...lines, lineOf(body, 40, 1)]);
    found(appended, 'ledger_uncovered', 'entry 40');
    const heads = lines.filter(isHeadLine);
    const again = await verifyExport([...lines, heads[3]!]);
    assert.deepEqual(codesOf(again), ['ledger_head_order', 'ledger_head_order']);
    const broken = await verifyExport([...lines, heads[3]!.replace('"size"', '"sized"')]);
    assert.deepEqual(codesOf(broken), ['ledger_head_invalid']);
  });

  const wrongs: [string, (make: MakeIssuance) => LedgerEntry, RegExp][] = [
    ['another serial', (make) => ({ ...make(), serial: 'ab'.repeat(16) }), /serial/],
    ['another identity', (make) => ({ ...make(), identity: CHECKOUT }), /names URI:.*catalog/],
    ['a name besides', (make) => ({ ...make(), serverNames: ['DNS:localhost'] }), /names/],
    ['another beginning', (make) => ({ ...make(), notBefore: 0 }), /notBefore/],
    ['another end', (make) => ({ ...make(), notAfter: 0 }), /notAfter/],
    ['another key', (make) => ({ ...make(), spkiSha256: 'ab'.repeat(32) }), /public key/],
    ['no certificate', (make) => ({ ...make(), certificate: Buffer.from('30030201', 'hex') }), /parsed/],
  ];
  for (const [what, make, message] of wrongs) {
    it(`finds an issuance whose certificate has ${what} (invariant 1)`, async () => {
      const writer = new LedgerWriter({ databasePath, logKeyPath, now: () => 2_000_000 });
      writer.commit([pending(make(issuance))]);
      exportedHead = writer.head;
      writer.close();
      const report = await verifyExport(await exportLines());
      assert.equal(report.problems, 1);
      found(report, 'ledger_certificate', 'entry 40');
      assert.match(report.findings[0]!.message, message);
    });
  }

  it('finds a serial that was used twice, though the table did not (invariant 3)', async () => {
    const writer = new LedgerWriter({ databasePath, logKeyPath, now: () => 2_000_000 });
    const twice = issuance();
    writer.commit([pending(twice), { ...pending(twice), serial: '' }]);
    exportedHead = writer.head;
    writer.close();
    const report = await verifyExport(await exportLines());
    assert.equal(report.problems, 1);
    found(report, 'ledger_serial_twice', 'entry 41');
  });

  it('finds an entry that is not in canonical form, and reads on', async () => {
    lines = await exportLines();
    const report = await verifyExport(lines.map((line) => line.replace('"index":5,', '"index": 5,')));
    found(report, 'ledger_entry_invalid', 'entry 5');
    assert.equal(report.entries, 40);
    assert.ok(!codesOf(report).includes('ledger_sequence'));
  });

  it('keeps its report bounded', async () => {
    lines = await exportLines();
    const noise = Array.from({ length: 1_000 }, () => 'noise');
    const report = await verifyExport([lines[0]!, ...noise]);
    assert.equal(report.findings.length, 100);
    assert.equal(report.problems, 1_001);
  });

  it('refuses a file that is no export', async () => {
    for (const first of [undefined, '', '{}', '{"header":{}}']) {
      await assert.rejects(
        verifyExport(first === undefined ? [] : [first]),
        (error) => error instanceof SealwrightError && error.code === 'ledger_export_invalid',
      );
    }
  });
});
