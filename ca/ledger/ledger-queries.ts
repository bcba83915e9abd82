import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { SealwrightError } from '../../src/core/errors.ts';
import { asBytes, asNumber, asText } from './ledger-database.ts';
import { consistencyProof, inclusionProof, rootAt } from './merkle.ts';
import { createNodeReader } from './stored-tree.ts';
import { encodeTreeHead } from './tree-head.ts';

/** The most rows of one answer. */
export const LARGEST_PAGE = 1_000;

export interface IssuerReach {
  readonly issuerKeyId: string;
  readonly issuances: number;
  /** The latest expiry of its certificates, in wall milliseconds. */
  readonly lastNotAfter: number;
}

export interface StoredProof {
  readonly line: string;
  readonly index: number;
  readonly size: number;
  readonly proof: readonly Uint8Array[];
}

/** A stretch of the ledger as an export has it: each tree head stands after the entries that it covers. */
export interface ExportPage {
  readonly lines: readonly string[];
  /** Where the next page begins; absent after the last one. */
  readonly next: number | undefined;
}

export type LedgerQueries = ReturnType<typeof createQueries>;

/** Every question that the ledger answers, on one connection that can only read. Pages are bounded; lines are as kept. */
export function createQueries(database: DatabaseSync, logId: () => string = () => readLogId(database)) {
  const size = database.prepare('SELECT coalesce(max(idx) + 1, 0) AS size FROM entries');
  const byIndex = database.prepare('SELECT line FROM entries WHERE idx = ?');
  const bySerial = database.prepare('SELECT line FROM entries WHERE serial = ?');
  const range = database.prepare('SELECT idx, line FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx');
  // One step of the index for each identity, however many certificates it has had.
  const latest = database.prepare(
    `WITH RECURSIVE page (identity, remaining) AS (
       SELECT (SELECT min(identity) FROM entries WHERE serial IS NOT NULL AND identity > ?1), ?2
       UNION ALL
       SELECT (SELECT min(identity) FROM entries WHERE serial IS NOT NULL AND identity > page.identity),
              remaining - 1
       FROM page WHERE page.identity IS NOT NULL AND remaining > 1
     )
     SELECT line FROM page JOIN entries ON entries.idx =
       (SELECT max(idx) FROM entries AS issued WHERE issued.serial IS NOT NULL AND issued.identity = page.identity)
     ORDER BY page.identity`,
  );
  const history = database.prepare(
    `SELECT idx, line FROM entries WHERE serial IS NOT NULL AND identity = ?1 AND idx < ?2
     UNION ALL
     SELECT idx, line FROM entries WHERE serial IS NULL AND identity IS NOT NULL AND identity = ?1 AND idx < ?2
     ORDER BY idx DESC LIMIT ?3`,
  );
  const issuers = database.prepare('SELECT * FROM issuers ORDER BY key_id');
  const heads = database.prepare('SELECT * FROM heads WHERE size >= ? AND size <= ? ORDER BY id');
  const node = createNodeReader(database);

  const currentSize = (): number => asNumber(size.get()?.['size']);
  const linesOf = (rows: readonly Record<string, SQLOutputValue>[]): string[] => rows.map(({ line }) => asText(line));
  const page = (limit: number): number => Math.max(1, Math.min(LARGEST_PAGE, Math.floor(limit)));
  const checkSize = (asked: number): void => {
    const held = currentSize();
    if (!Number.isSafeInteger(asked) || asked < 0 || asked > held) {
      throw new SealwrightError('ledger_range', { asked, size: held });
    }
  };
  const lineAt = (index: number): string => {
    const row = byIndex.get(index);
    if (row === undefined) throw new SealwrightError('ledger_range', { asked: index, size: currentSize() });
    return asText(row['line']);
  };

  return {
    size: currentSize,

    line: lineAt,

    lineBySerial(serial: string): string | undefined {
      const row = bySerial.get(serial);
      return row === undefined ? undefined : asText(row['line']);
    },

    /** The newest issuance of each identity, by identity, beginning after `after`. */
    latestIssuances(after: string, limit: number): string[] {
      return linesOf(latest.all(after, page(limit)));
    },

    /** Everything about one identity before the entry `before`, newest first. */
    history(identity: string, before: number, limit: number): string[] {
      return linesOf(history.all(identity, before, page(limit)));
    },

    issuers(): IssuerReach[] {
      return issuers.all().map((row) => ({
        issuerKeyId: asText(row['key_id']),
        issuances: asNumber(row['issuances']),
        lastNotAfter: asNumber(row['last_not_after']),
      }));
    },

    /** Entries from `from` on, below `upTo`, and the tree heads of the sizes that the page reaches. */
    exportPage(from: number, upTo: number, limit: number): ExportPage {
      const end = Math.min(upTo, from + page(limit));
      // By index and not by count: where rows were taken away, the rest still stands where it belongs.
      const rows = range.all(from, end);
      const lines: string[] = [];
      let given = 0;
      const giveBelow = (index: number): void => {
        for (let row = rows[given]; row !== undefined && asNumber(row['idx']) < index; row = rows[given]) {
          lines.push(asText(row['line']));
          given += 1;
        }
      };
      // Heads of size `from` went out with the page before, but for those of the empty tree.
      for (const row of heads.all(from === 0 ? 0 : from + 1, end)) {
        giveBelow(asNumber(row['size']));
        lines.push(
          encodeTreeHead({
            epoch: asNumber(row['epoch']),
            logId: logId(),
            rootHash: asBytes(row['root_hash']).toString('hex'),
            size: asNumber(row['size']),
            time: asNumber(row['time']),
            signature: asBytes(row['signature']),
          }),
        );
      }
      giveBelow(end);
      return { lines, next: end < upTo ? end : undefined };
    },

    inclusion(index: number, treeSize: number): StoredProof {
      checkSize(treeSize);
      if (!(index < treeSize)) throw new SealwrightError('ledger_range', { asked: index, size: treeSize });
      return { line: lineAt(index), index, size: treeSize, proof: inclusionProof(node, index, treeSize) };
    },

    consistency(first: number, second: number): readonly Uint8Array[] {
      checkSize(second);
      if (!(first >= 0 && first <= second)) throw new SealwrightError('ledger_range', { asked: first, size: second });
      return consistencyProof(node, first, second);
    },

    rootAt(treeSize: number): Uint8Array {
      checkSize(treeSize);
      return rootAt(node, treeSize);
    },
  };
}

function readLogId(database: DatabaseSync): string {
  return asText(database.prepare('SELECT log_id FROM state').get()?.['log_id']);
}
