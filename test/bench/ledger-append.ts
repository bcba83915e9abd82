import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encodeEntry } from '../../ca/ledger/entry-codec.ts';
import type { IssuanceEntry } from '../../ca/ledger/entry.ts';
import { openLedger } from '../../ca/ledger/ledger.ts';
import type { Figure } from './figure.ts';
import { issuanceEntry } from './ledger-entries.ts';

const ENTRIES = 10_000;
const ROUNDS = 3;
const CONCURRENCY = 32;

/**
 * CPU of one entry from `append` until it is durable, 32 at a time: encoded, hashed into the tree, indexed, its head
 * signed, on both threads. Against the same texts put into one plain table of SQLite, as durably, 32 a transaction.
 */
export async function ledgerAppend(): Promise<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'sealwright-bench-'));
  try {
    const entries = Array.from({ length: ENTRIES }, (_, index) => issuanceEntry(index));
    const [ours, bare]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      ours.push(await cpuOfAppends(join(folder, `ours-${round}`), entries));
      bare.push(cpuOfInserts(join(folder, `bare-${round}.db`), entries.map(encodeEntry)));
    }
    const [least, peer] = [Math.min(...ours), Math.min(...bare)];
    return { ours: least, peer, unit: 'us CPU/entry', peerName: 'a plain SQLite table' };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function cpuOfAppends(path: string, entries: readonly IssuanceEntry[]): Promise<number> {
  const silent = (): void => undefined;
  const logger = { debug: silent, info: silent, warn: silent, error: console.error };
  const ledger = await openLedger({
    databasePath: `${path}.db`,
    logKeyPath: `${path}.pem`,
    clock: { now: Date.now },
    logger,
  });
  const before = process.cpuUsage();
  const queue = entries.values();
  const appendAll = async (): Promise<void> => {
    for (const entry of queue) await ledger.append(entry);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, appendAll));
  const { user, system } = process.cpuUsage(before);
  await ledger.close();
  return (user + system) / entries.length;
}

function cpuOfInserts(path: string, lines: readonly string[]): number {
  const database = new DatabaseSync(path);
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, line TEXT)',
  );
  const insert = database.prepare('INSERT INTO t (line) VALUES (?)');
  const before = process.cpuUsage();
  for (let first = 0; first < lines.length; first += CONCURRENCY) {
    database.exec('BEGIN IMMEDIATE');
    for (const line of lines.slice(first, first + CONCURRENCY)) insert.run(line);
    database.exec('COMMIT');
  }
  const { user, system } = process.cpuUsage(before);
  database.close();
  return (user + system) / lines.length;
}
