import { dirname, join } from 'node:path';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { ISTIO_NAMES, namesOf } from './ca-files.ts';
import { makeRoot } from './new-root.ts';
import type { StateFolder } from './state-folder.ts';

/**
 * Makes the self-signed CA on the first start, so that a crash at any point leaves either no CA or this one:
 *
 *   1. all four files are written into `.first-start.<random>` and reach the disk: still no CA;
 *   2. that folder is renamed to `.first-start`: from this one step on, the CA exists;
 *   3. its files are moved to their names, and the empty folder is removed. A start that finds `.first-start` goes on here.
 *
 * Nothing is signed before step 3 is done. What step 1 left behind was never used, and is removed once a CA is in place.
 */
export const COMMITTED = '.first-start';

const FILES = namesOf(ISTIO_NAMES);

interface Place {
  readonly folder: string;
  readonly logger: Logger;
  readonly state: StateFolder;
}

export interface FirstStart extends Place {
  readonly trustDomain: TrustDomain;
  /** Wall time in milliseconds. */
  readonly now: number;
  readonly randomBytes: (size: number) => Buffer;
}

/** Steps 1 and 2. */
export async function makeFirstCa(request: FirstStart): Promise<void> {
  const { folder, trustDomain, now, randomBytes, logger, state } = request;
  const root = await makeRoot({ trustDomain, now, randomBytes });
  const staged = join(folder, `${COMMITTED}.${randomBytes(8).toString('hex')}`);
  await state.makePrivate(folder);
  await state.sync(dirname(folder));
  await state.make(staged);
  for (const [name, text] of Object.entries(root)) {
    await state.write(join(staged, name), text, name === ISTIO_NAMES.key ? 0o600 : 0o644);
  }
  await state.sync(staged);
  await state.move(staged, join(folder, COMMITTED));
  await state.sync(folder);
  logger.info('made a self-signed CA', { folder, trustDomain });
}

/**
 * Step 3, also where an earlier start or another process had begun it. Does nothing where there is nothing to finish.
 *
 * @throws SealwrightError `ca_files_incomplete` where files of another CA stand among those that were moved
 */
export async function finishFirstCa({ folder, logger, state }: Place): Promise<void> {
  const committed = join(folder, COMMITTED);
  const waiting = await state.list(committed);
  if (waiting === undefined) return;
  const left = FILES.filter((name) => waiting.includes(name));
  const present = (await state.list(folder)) ?? [];
  const taken = left.filter((name) => present.includes(name));
  if (taken.length > 0) {
    // All four are still here, so that this CA was never in use: the one in place stays.
    if (left.length === FILES.length) {
      logger.warn('removed a CA that was made but never used, since there is another one', { folder });
      await state.removeWhole(committed);
      return;
    }
    throw new SealwrightError('ca_files_incomplete', { folder: committed, missing: 'files already moved' });
  }
  for (const name of left) await state.move(join(committed, name), join(folder, name)).catch(ignoreMissing);
  await state.sync(folder);
  await state.removeEmpty(committed).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') return ignoreMissing(error);
    // rename(2) replaces an empty folder: another process has put its CA where the files of this one had just left. Ours
    // is in place, so that one was never in use.
    const inPlace = (await state.list(folder)) ?? [];
    if (!FILES.every((name) => inPlace.includes(name))) throw error;
    logger.warn('removed a CA that was made but never used, since there is another one', { folder });
    await state.removeWhole(committed);
  });
  await state.sync(folder);
}

/** Removes what starts left behind that crashed in step 1. Only for a folder whose CA is in place. */
export async function removeLeftovers({ folder, logger, state }: Place): Promise<void> {
  for (const name of (await state.list(folder)) ?? []) {
    if (!name.startsWith(`${COMMITTED}.`)) continue;
    logger.info('removed what an interrupted first start left behind', { folder, name });
    await state.removeWhole(join(folder, name));
  }
}

/** Another process may have made the same step: both move the same files of the one committed folder. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
