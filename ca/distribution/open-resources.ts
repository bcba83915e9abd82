import { mkdir } from 'node:fs/promises';
import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { FolderStore } from '../../src/resources/folder-store.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';

export interface ResourcesOptions {
  readonly folder: string;
  readonly rootNamespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Opens the folder of resources, which is made where it is missing, with every policy checked. While the CA runs, a
 * file with an error changes nothing, for what it said before stays in force. At the start there is nothing before:
 * to go on would hand out a mesh without the policies of that file, and a DENY would have fallen open. So the CA does
 * not start. The store has logged every finding with its file and line by then.
 *
 * @throws SealwrightError `resources_invalid`, `resources_unavailable`
 */
export async function openResources({ folder, rootNamespace, clock, logger }: ResourcesOptions): Promise<FolderStore> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new SealwrightError('resources_unavailable', { folder, reason: reasonOf(error) }, { cause: error });
  }
  const validators = policyValidators({ rootNamespace, strayRoot: 'warning' });
  const store = await FolderStore.open({ folder, clock, logger, validators });
  const errors = store.issues.filter(({ severity }) => severity === 'error');
  if (errors.length === 0) return store;
  await store.close();
  if (errors.some(({ code }) => code === 'resource_folder')) {
    const reason = errors.map(({ message }) => message).join(', ');
    throw new SealwrightError('resources_unavailable', { folder, reason });
  }
  throw new SealwrightError('resources_invalid', { folder, errors: errors.length });
}
