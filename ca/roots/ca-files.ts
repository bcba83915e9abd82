import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { readPrivateFile } from './private-file.ts';

/** Under which names one set of CA files stands. */
export interface FileNames {
  readonly certificate: string;
  readonly key: string;
  readonly roots: string;
  /** The kubernetes.io/tls form has none: its intermediates follow the first certificate. */
  readonly chain: string | undefined;
}

/** Istio's names: the secret `cacerts`, and what `istio-ca-secret` holds. */
export const ISTIO_NAMES = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  roots: 'root-cert.pem',
  chain: 'cert-chain.pem',
} as const satisfies FileNames;

/** The secret type kubernetes.io/tls, as cert-manager writes it. */
export const TLS_NAMES: FileNames = { certificate: 'tls.crt', key: 'tls.key', roots: 'ca.crt', chain: undefined };

/** Far above any real bundle, and bounds what a wrong path can make the CA read. Bytes. */
const LARGEST_FILE = 1 << 20;

const CAN_GROUP_READ = 0o040;
const CAN_OTHERS_READ = 0o004;
const CAN_OTHERS_WRITE = 0o002;

/** The text of one set, each with the path that errors name. */
export interface CaFiles {
  readonly certificate: CaFile;
  readonly key: CaFile;
  readonly roots: CaFile;
  readonly chain: CaFile | undefined;
}

export interface CaFile {
  readonly path: string;
  readonly text: string;
}

/**
 * Which set of CA files stands in the folder; undefined where there is none of them, or no folder.
 *
 * @throws SealwrightError `ca_files_incomplete`, `ca_files_ambiguous`
 */
export async function findCaFiles(folder: string): Promise<FileNames | undefined> {
  const present = new Set(await readdir(folder).catch(emptyWhereMissing));
  const found = [ISTIO_NAMES, TLS_NAMES].filter((names) => namesOf(names).some((name) => present.has(name)));
  const [names, other] = found;
  if (names === undefined) return undefined;
  if (other !== undefined) throw new SealwrightError('ca_files_ambiguous', { folder });
  const missing = namesOf(names).filter((name) => !present.has(name));
  if (missing.length > 0) throw new SealwrightError('ca_files_incomplete', { folder, missing: missing.join(', ') });
  return names;
}

export function namesOf(names: FileNames): string[] {
  return [names.certificate, names.key, names.roots, names.chain].filter((name) => name !== undefined);
}

export interface ReadRequest {
  readonly folder: string;
  readonly names: FileNames;
  /**
   * `refuse` in a folder of the CA's own. `warn` for a mounted secret: the kubelet mounts it 0644 unless told otherwise,
   * read-only, inside a container of its own.
   */
  readonly exposedKey: 'refuse' | 'warn';
  readonly logger: Logger;
}

/**
 * Reads one set of CA files.
 *
 * @throws SealwrightError `ca_file_unreadable`, `ca_file_exposed`
 */
export async function readCaFiles({ folder, names, exposedKey, logger }: ReadRequest): Promise<CaFiles> {
  const read = (name: string): Promise<CaFile> => readFile(join(folder, name));
  const keyPath = join(folder, names.key);
  const key = exposedKey === 'refuse' ? readOwnKey(keyPath, logger) : await readMountedKey(keyPath, logger);
  if (exposedKey === 'refuse' && ((await modeOf(folder)) & CAN_OTHERS_WRITE) !== 0) {
    throw new SealwrightError('ca_file_exposed', { path: folder, reason: 'everybody may replace files in it' });
  }
  return {
    certificate: await read(names.certificate),
    key,
    roots: await read(names.roots),
    chain: names.chain === undefined ? undefined : await read(names.chain),
  };
}

/** @throws SealwrightError `ca_file_exposed`, `ca_file_unreadable` */
function readOwnKey(path: string, logger: Logger): CaFile {
  try {
    const { text, shared } = readPrivateFile(path);
    if (shared === 'narrowed') logger.warn('the group of the CA key had rights on it, and has none any more', { path });
    if (shared === 'group-reads') logger.warn('the group of the CA key may read it', { path });
    return { path, text };
  } catch (cause) {
    if (!(cause instanceof SealwrightError)) {
      throw new SealwrightError('ca_file_unreadable', { path, reason: reasonOf(cause) }, { cause });
    }
    throw new SealwrightError('ca_file_exposed', { path, reason: cause.fields['reason'] }, { cause });
  }
}

/** A mounted secret is made of links, belongs to root and is 0644 unless told otherwise. */
async function readMountedKey(path: string, logger: Logger): Promise<CaFile> {
  const { text, mode } = await readFile(path);
  if ((mode & CAN_OTHERS_READ) !== 0) {
    logger.warn('other users of this machine can get at the CA key', { path, reason: 'everybody may read it' });
  } else if ((mode & CAN_GROUP_READ) !== 0) logger.warn('the group of the CA key may read it', { path });
  return { path, text };
}

async function readFile(path: string): Promise<CaFile & { readonly mode: number }> {
  try {
    // Non-blocking, so that a named pipe in the place of a file cannot hang the start.
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, size } = await handle.stat().then(regularOnly);
    if (size > LARGEST_FILE) throw new Error(`it has ${size} bytes`);
    return { path, text: await handle.readFile('utf8'), mode: rights(mode) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SealwrightError('ca_file_unreadable', { path, reason }, { cause });
  }
}

function regularOnly<T extends { isFile(): boolean }>(status: T): T {
  if (!status.isFile()) throw new Error('it is not a regular file');
  return status;
}

async function modeOf(path: string): Promise<number> {
  return rights((await stat(path)).mode);
}

/** Windows keeps rights elsewhere and reports 0666 for everything. */
function rights(mode: number): number {
  return process.platform === 'win32' ? 0o600 : mode & 0o777;
}

function emptyWhereMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
