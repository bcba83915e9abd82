import { SealwrightError } from '../../src/core/errors.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { findCaFiles, ISTIO_NAMES, readCaFiles, type FileNames } from './ca-files.ts';
import type { CaMaterial } from './ca-material.ts';
import { checkMaterial } from './check-material.ts';
import { COMMITTED, finishFirstCa, makeFirstCa, removeLeftovers } from './first-start.ts';
import { stateFolder, type StateFolder } from './state-folder.ts';

export interface RootsOptions {
  /** The CA's state folder. A self-signed CA is made in it if, and only if, it holds no CA file at all. */
  readonly folder: string;
  /**
   * A folder with plugged-in files, such as the mounted secret `cacerts`. Where it is given it alone counts, and nothing
   * is ever made: a secret that is missing must not turn into a CA that nobody trusts.
   */
  readonly pluggedIn?: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
  /** For tests: the steps by which files are written. */
  readonly state?: StateFolder;
}

/**
 * The root store: where the CA's own certificate and key come from. Reads and checks them at each start; the caller
 * holds the lock of the state folder.
 *
 * @throws SealwrightError `ca_files_*`, `ca_file_*`, `ca_key_mismatch`, `ca_certificate_*`, `ca_chain_broken`,
 *   `ca_trust_domain_differs`: each names the file, the reason and the remedy
 */
export async function openRoots(options: RootsOptions): Promise<CaMaterial> {
  const { pluggedIn } = options;
  if (pluggedIn !== undefined) {
    const names = await findCaFiles(pluggedIn);
    if (names === undefined) throw new SealwrightError('ca_files_missing', { folder: pluggedIn });
    return load(options, { folder: pluggedIn, names, exposedKey: 'warn' });
  }
  const { folder } = options;
  return load(options, { folder, names: await findOrMake(options), exposedKey: 'refuse' });
}

async function findOrMake(options: RootsOptions): Promise<FileNames> {
  const { folder, trustDomain, clock, randomBytes, logger, state = stateFolder } = options;
  await finishFirstCa({ folder, logger, state });
  const names = await findCaFiles(folder);
  if (names !== undefined) {
    await removeLeftovers({ folder, logger, state });
    return names;
  }
  try {
    await makeFirstCa({ folder, trustDomain, now: clock.now(), randomBytes, logger, state });
  } catch (error) {
    // Another process that started at the same moment may have been quicker: then its CA is the one.
    if (!(await holdsCa(state, folder))) throw error;
    logger.warn('another process made the CA at the same moment', { folder, reason: String(error) });
  }
  await finishFirstCa({ folder, logger, state });
  const made = await findCaFiles(folder);
  if (made === undefined) throw new SealwrightError('ca_files_missing', { folder });
  return made;
}

async function holdsCa(state: StateFolder, folder: string): Promise<boolean> {
  const names = (await state.list(folder)) ?? [];
  return names.includes(COMMITTED) || names.includes(ISTIO_NAMES.key);
}

interface Source {
  readonly folder: string;
  readonly names: FileNames;
  readonly exposedKey: 'refuse' | 'warn';
}

async function load({ trustDomain, clock, logger }: RootsOptions, source: Source): Promise<CaMaterial> {
  const files = await readCaFiles({ ...source, logger });
  return checkMaterial({ files, trustDomain, now: clock.now(), logger });
}
