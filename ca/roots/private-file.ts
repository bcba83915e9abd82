import { closeSync, constants, fchmodSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { SealwrightError } from '../../src/core/errors.ts';

/** Far above any key, and bounds what a wrong path can make the CA read. Bytes. */
const LARGEST_FILE = 1 << 20;

const ANY_GROUP = 0o070;
const GROUP_WRITE = 0o020;
const ANY_OTHERS = 0o007;

/** Who has got at a file besides its owner, where that could be put up with. */
export type Shared =
  | 'no'
  /** The group had rights; they were taken away. */
  | 'narrowed'
  /** Root's file, which the CA reads by its group: nobody else could give it to a user that is not root. */
  | 'group-reads';

export interface PrivateText {
  readonly text: string;
  readonly shared: Shared;
}

/**
 * Reads a file that is the CA's alone: a regular one (no link, no pipe), of this user or of root, without rights for
 * others. What is checked is what is read: the open file, not its name.
 *
 * Rights of the group of a file of ours are taken away and not refused: a Kubernetes volume with fsGroup gets them back
 * at each mount, and a pod that restarts must not be locked out by it.
 *
 * @throws SealwrightError `private_file_exposed`; Node's own error where it cannot be opened
 */
export function readPrivateFile(path: string): PrivateText {
  const file = openPrivate(path, constants.O_RDONLY);
  try {
    const shared = requirePrivate(path, file);
    return { text: readFileSync(file, 'utf8'), shared };
  } finally {
    closeSync(file);
  }
}

/**
 * The same checks for a file that somebody else opens by its name, such as SQLite.
 *
 * @param options with `make`, a file that is missing is made empty, with mode 0600; else it is no failure
 * @throws SealwrightError `private_file_exposed`; Node's own error where it cannot be opened or made
 */
export function ensurePrivateFile(path: string, options: { readonly make: boolean }): void {
  let file: number;
  try {
    file = openPrivate(path, options.make ? constants.O_RDWR | constants.O_CREAT : constants.O_RDONLY);
  } catch (error) {
    if (!options.make && isMissing(error)) return;
    throw error;
  }
  try {
    requirePrivate(path, file, Infinity);
  } finally {
    closeSync(file);
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function openPrivate(path: string, flags: number): number {
  try {
    // Non-blocking, so that a named pipe in the place of a file cannot hang the start.
    return openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ELOOP')
      throw exposed(path, 'it is a symbolic link');
    // What a socket answers to open(2).
    if (error instanceof Error && 'code' in error && error.code === 'ENXIO') throw exposed(path, NOT_REGULAR);
    throw error;
  }
}

const NOT_REGULAR = 'it is not a regular file';

function requirePrivate(path: string, file: number, largest = LARGEST_FILE): Shared {
  const status = fstatSync(file);
  if (!status.isFile()) throw exposed(path, NOT_REGULAR);
  if (status.size > largest) throw exposed(path, `it has ${status.size} bytes`);
  return requireOwn(path, file, status);
}

function requireOwn(path: string, file: number, { uid, mode }: Stats): Shared {
  // Windows keeps owners and rights elsewhere.
  const us = process.getuid?.();
  if (us === undefined) return 'no';
  if (uid !== us && uid !== 0) throw exposed(path, `it belongs to another user (uid ${uid})`);
  if ((mode & ANY_OTHERS) !== 0) throw exposed(path, `everybody has rights on it (mode ${(mode & 0o777).toString(8)})`);
  if ((mode & ANY_GROUP) === 0) return 'no';
  if (uid === us) {
    fchmodSync(file, mode & 0o700);
    return 'narrowed';
  }
  if ((mode & GROUP_WRITE) !== 0) throw exposed(path, 'its group may write it');
  return 'group-reads';
}

function exposed(path: string, reason: string): SealwrightError {
  return new SealwrightError('private_file_exposed', { path, reason });
}
