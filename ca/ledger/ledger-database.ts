import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { ensurePrivateFile } from '../roots/private-file.ts';
import { isSqliteError } from './sqlite-error.ts';

/** `PRAGMA user_version`: the version of the tables. A newer one is refused, never guessed at. */
const SCHEMA_VERSION = 1;

/** 'Seal': marks the file as ours (`PRAGMA application_id`), for `file(1)` and against opening somebody else's. */
const APPLICATION_ID = 0x5365616c;

/** How long to wait for another process's lock, such as a backup's, in milliseconds. */
const BUSY_TIMEOUT = 5_000;

/**
 * - `entries`: the line as it is hashed; `leaf_hash` saves hashing all of them at each start. The other columns repeat
 *   what the line says, for the indexes only; queries answer from the line.
 * - `nodes`: the complete subtrees of every 8th level (one row for 256 entries): see stored-tree.ts.
 * - `heads`: the newest signed tree head of each second in which something was written; the last one covers all.
 * - `issuers`: how far certificates of each issuing key reach, so that a root is not retired under them.
 * - `state`: one row.
 */
const SCHEMA = `
  CREATE TABLE entries (
    idx INTEGER PRIMARY KEY,
    identity TEXT,
    serial TEXT,
    leaf_hash BLOB NOT NULL,
    line TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX entries_by_serial ON entries (serial) WHERE serial IS NOT NULL;
  CREATE INDEX entries_issued ON entries (identity) WHERE serial IS NOT NULL;
  CREATE INDEX entries_other ON entries (identity) WHERE serial IS NULL AND identity IS NOT NULL;
  CREATE TABLE nodes (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE heads (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    size INTEGER NOT NULL,
    time INTEGER NOT NULL,
    root_hash BLOB NOT NULL,
    signature BLOB NOT NULL
  ) STRICT;
  CREATE INDEX heads_by_size ON heads (size);
  CREATE TABLE issuers (
    key_id TEXT PRIMARY KEY,
    issuances INTEGER NOT NULL,
    last_not_after INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL,
    log_id TEXT
  ) STRICT;
  INSERT INTO state (only, epoch) VALUES (1, 0);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * Opens the ledger for writing, and makes its tables where the file is new.
 *
 * @throws SealwrightError `ledger_unwritable`, `ledger_version`, `private_file_exposed`
 */
export function openForWriting(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    // SQLite would make it by the umask; its -wal and -shm take the mode of the file.
    ensurePrivateFile(path, { make: true });
    for (const suffix of ['-wal', '-shm']) ensurePrivateFile(path + suffix, { make: false });
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT });
    // FULL flushes the log at every commit: without it a power cut loses the last commits (sqlite.org/pragma.html).
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    database.exec('BEGIN IMMEDIATE');
    const version = pragma(database, 'user_version');
    const empty = version === 0 && pragma(database, 'schema_version') === 0;
    if (empty) database.exec(SCHEMA);
    else checkVersion(database, version);
    database.exec('COMMIT');
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof SealwrightError) throw error;
    throw new SealwrightError('ledger_unwritable', { reason: reasonOf(error) }, { cause: error });
  }
}

/**
 * Opens the ledger for reading only, beside its writer or without one.
 *
 * @throws SealwrightError `ledger_unreadable`, `ledger_version`
 */
export function openForReading(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT });
    checkVersion(database, pragma(database, 'user_version'));
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof SealwrightError) throw error;
    throw new SealwrightError('ledger_unreadable', { reason: reasonOf(error) }, { cause: error });
  }
}

function checkVersion(database: DatabaseSync, version: number): void {
  const application = pragma(database, 'application_id');
  if (version === SCHEMA_VERSION && application === APPLICATION_ID) return;
  throw new SealwrightError('ledger_version', { version, supported: SCHEMA_VERSION, application });
}

function pragma(database: DatabaseSync, name: 'user_version' | 'schema_version' | 'application_id'): number {
  return asNumber(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}

/** SQLITE_CONSTRAINT_UNIQUE: the only unique index beside the keys is that on the serial. */
export function isSerialTaken(error: unknown): boolean {
  return isSqliteError(error) && error.errcode === 2067;
}

// Rows come back as null-prototype records of any SQL value: these three are the door to our own types.

export function asNumber(value: SQLOutputValue | undefined): number {
  if (typeof value !== 'number') throw new SealwrightError('ledger_unreadable', { reason: 'a column is no number' });
  return value;
}

export function asText(value: SQLOutputValue | undefined): string {
  if (typeof value !== 'string') throw new SealwrightError('ledger_unreadable', { reason: 'a column is no text' });
  return value;
}

export function asBytes(value: SQLOutputValue | undefined): Buffer {
  if (!(value instanceof Uint8Array)) throw new SealwrightError('ledger_unreadable', { reason: 'a column is no blob' });
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
