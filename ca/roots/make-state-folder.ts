import { mkdir, open } from 'node:fs/promises';
import { constants } from 'node:fs';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';

/**
 * Makes the CA's own folder (0700) before anything secret is put into it; one that is there must be this user's, and is
 * made so. In a folder of somebody else every file could be replaced, whatever its own rights are.
 *
 * @throws SealwrightError `state_unwritable`, `state_exposed`
 */
export async function makeStateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // A link to a folder is allowed, since whoever can replace it is judged by the folder that holds it, as every path.
    await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    const { uid, mode } = await handle.stat();
    const us = process.getuid?.();
    if (us === undefined) return;
    if (uid !== us) throw new SealwrightError('state_exposed', { folder, reason: `it belongs to uid ${uid}`, uid: us });
    if ((mode & 0o777) !== 0o700) await handle.chmod(0o700);
  } catch (error) {
    if (error instanceof SealwrightError) throw error;
    throw new SealwrightError('state_unwritable', { folder, reason: reasonOf(error) }, { cause: error });
  }
}
