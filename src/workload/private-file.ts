import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { reasonOf, SealwrightError } from '../core/errors.ts';

/**
 * Replaces a file as a whole, for its owner alone (0600): a reader, and a restart after a crash, finds the old content
 * or the new one. Pieces are made as they are written, and others have turns of the event loop meanwhile.
 *
 * @throws SealwrightError `workload_folder_unwritable`
 */
export async function replacePrivateFile(path: string, content: string | Iterable<string>): Promise<void> {
  const unfinished = `${path}.new`;
  try {
    // What a crash left may have other rights; `wx` makes the mode count from the first byte.
    await rm(unfinished, { force: true });
    {
      await using file = await open(unfinished, 'wx', 0o600);
      await file.writeFile(content);
      await file.sync();
    }
    await rename(unfinished, path);
    // Windows has no such call for folders.
    if (process.platform === 'win32') return;
    await using folder = await open(dirname(path), 'r');
    await folder.sync();
  } catch (cause) {
    throw new SealwrightError('workload_folder_unwritable', { file: path, reason: reasonOf(cause) }, { cause });
  }
}

/** The text of a file; undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
