import { closeSync, lstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';

export interface StateLock {
  release(): void;
}

/** Holds nothing: SQLite's lock on it is what counts. */
const LOCK_FILE = 'lock.db';

/** SQLITE_BUSY (sqlite.org/rescode.html). */
const BUSY = 5;

/**
 * Holds a state folder for one CA at a time, by SQLite's exclusive lock (fcntl) on a file in it. The kernel lets go of
 * it when the process ends, however it ends, so that no lock is ever left behind; and it is a lock on the file, which
 * another network or process namespace with the same volume sees, and which nobody without the folder can take.
 *
 * @throws SealwrightError `state_in_use`, `state_unwritable`
 */
export function lockState(folder: string): StateLock {
  const path = join(folder, LOCK_FILE);
  let database: DatabaseSync | undefined;
  try {
    requireLockFile(path);
    database = new DatabaseSync(path, { timeout: 0 });
    // Nothing is ever written, so there is no journal to make; EXCLUSIVE takes the lock at once.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    if (cause instanceof Error && 'errcode' in cause && cause.errcode === BUSY) {
      throw new SealwrightError('state_in_use', { folder }, { cause });
    }
    if (cause instanceof SealwrightError) throw cause;
    throw new SealwrightError('state_unwritable', { folder, reason: reasonOf(cause) }, { cause });
  }
  const held = database;
  return { release: () => held.close() };
}

/** Makes the file where it is missing. Does not open one that is there: closing it would drop this process's locks on it. */
function requireLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    if (!lstatSync(path).isFile()) {
      throw new SealwrightError('private_file_exposed', { path, reason: 'it is not a regular file' });
    }
  }
}
