import type { DatabaseSync } from 'node:sqlite';
import { SealwrightError } from '../../src/core/errors.ts';
import { asBytes } from './ledger-database.ts';
import { nodeHash, type NodeListener, type NodeSource } from './merkle.ts';

/**
 * Only the subtrees of every 8th level are kept (256 leaves, 65,536 leaves, …): one row for 255 entries instead of one
 * for each, and any other subtree is at most 128 stored hashes away.
 */
const STEP = 8;

/** Keeps what `CompactRange.append` completes. Call it inside the transaction that holds the leaves. */
export function createNodeWriter(database: DatabaseSync): NodeListener {
  const insert = database.prepare('INSERT INTO nodes (level, position, hash) VALUES (?, ?, ?)');
  return (level, position, hash) => {
    if (level % STEP === 0) insert.run(level, position, hash);
  };
}

/** Gives complete subtrees out of the tables; throws `ledger_altered` where a row that must be there is not. */
export function createNodeReader(database: DatabaseSync): NodeSource {
  const leaves = database.prepare('SELECT leaf_hash AS hash FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx');
  const nodes = database.prepare(
    'SELECT hash FROM nodes WHERE level = ? AND position >= ? AND position < ? ORDER BY position',
  );
  return (level, position) => {
    const stored = level - (level % STEP);
    const width = 2 ** (level - stored);
    const [start, end] = [position * width, (position + 1) * width];
    const rows = stored === 0 ? leaves.all(start, end) : nodes.all(stored, start, end);
    if (rows.length !== width)
      throw new SealwrightError('ledger_altered', { reason: 'rows are missing', level, position });
    let hashes = rows.map((row) => asBytes(row['hash']));
    while (hashes.length > 1) {
      const below = hashes;
      hashes = [];
      for (let index = 0; index < below.length; index += 2) {
        const [left, right] = [below[index], below[index + 1]];
        if (left !== undefined && right !== undefined) hashes.push(nodeHash(left, right));
      }
    }
    const [hash] = hashes;
    if (hash === undefined)
      throw new SealwrightError('ledger_altered', { reason: 'rows are missing', level, position });
    return hash;
  };
}
