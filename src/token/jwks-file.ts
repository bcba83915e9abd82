import { readFile, stat } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { CachedKeys } from './cached-keys.ts';
import { LARGEST_KEY_SET, parseJwkSet } from './jwks.ts';

export interface JwksFileOptions {
  readonly path: string;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Logger;
}

/**
 * Keys in a file, which is looked at again when it is used a second or more after the last look, and read again when
 * it has changed. A file that was replaced by something that is no key set leaves the last good keys.
 */
export function createJwksFile({ path, clock, logger }: JwksFileOptions): CachedKeys {
  let readVersion: string | undefined;
  return new CachedKeys({
    name: `file ${path}`,
    freshFor: 1_000,
    whenStale: 'wait',
    readings: { burst: 10, perSecond: 2 },
    clock,
    logger,
    load: async (last) => {
      const { version, bytes } = await read(path, last === undefined ? undefined : readVersion);
      if (bytes === undefined && last !== undefined) return last;
      const set = await parseJwkSet(bytes ?? Buffer.alloc(0));
      readVersion = version;
      return set;
    },
  });
}

/** The content, unless the file is still the one whose version is known. */
async function read(path: string, known: string | undefined): Promise<{ version: string; bytes: Buffer | undefined }> {
  try {
    const { mtimeNs, size, ino } = await stat(path, { bigint: true });
    // The inode too: an atomic replacement within the file system's time step has the same time and may have the size.
    const version = `${mtimeNs}/${size}/${ino}`;
    if (version === known) return { version, bytes: undefined };
    if (size > BigInt(LARGEST_KEY_SET)) throw new Error(`larger than ${LARGEST_KEY_SET} bytes`);
    return { version, bytes: await readFile(path) };
  } catch (error) {
    throw new SealwrightError('jwks_unreachable', { path, reason: reasonOf(error) }, { cause: error });
  }
}
