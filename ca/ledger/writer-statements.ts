import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { NodeListener, NodeSource } from './merkle.ts';
import { createNodeReader, createNodeWriter } from './stored-tree.ts';

/** Everything that the writer says to SQLite, prepared once. */
export interface WriterStatements {
  readonly begin: StatementSync;
  readonly commit: StatementSync;
  readonly rollback: StatementSync;
  readonly state: StatementSync;
  readonly takeEpoch: StatementSync;
  readonly insertEntry: StatementSync;
  readonly addIssued: StatementSync;
  readonly lastIndex: StatementSync;
  readonly lastHead: StatementSync;
  readonly insertHead: StatementSync;
  readonly replaceHead: StatementSync;
  readonly tail: StatementSync;
  readonly readNode: NodeSource;
  readonly writeNode: NodeListener;
}

export function prepareStatements(database: DatabaseSync): WriterStatements {
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    state: database.prepare('SELECT epoch, log_id FROM state'),
    takeEpoch: database.prepare('UPDATE state SET epoch = ?, log_id = ?'),
    insertEntry: database.prepare(
      'INSERT INTO entries (idx, identity, serial, leaf_hash, line) VALUES (?, ?, ?, ?, ?)',
    ),
    addIssued: database.prepare(
      `INSERT INTO issuers (key_id, issuances, last_not_after) VALUES (?, ?, ?)
       ON CONFLICT (key_id) DO UPDATE SET
         issuances = issuances + excluded.issuances,
         last_not_after = max(last_not_after, excluded.last_not_after)`,
    ),
    lastIndex: database.prepare('SELECT max(idx) AS last FROM entries'),
    lastHead: database.prepare('SELECT * FROM heads ORDER BY id DESC LIMIT 1'),
    insertHead: database.prepare('INSERT INTO heads (epoch, size, time, root_hash, signature) VALUES (?, ?, ?, ?, ?)'),
    replaceHead: database.prepare(
      `UPDATE heads SET epoch = ?, size = ?, time = ?, root_hash = ?, signature = ?
       WHERE id = (SELECT max(id) FROM heads)`,
    ),
    tail: database.prepare('SELECT * FROM entries WHERE idx >= ?'),
    readNode: createNodeReader(database),
    writeNode: createNodeWriter(database),
  };
}
