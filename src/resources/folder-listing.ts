import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf } from '../core/errors.ts';

/** A file of resources in a folder. */
export interface ListedFile {
  /** Within the folder. */
  readonly name: string;
  readonly path: string;
  /** Wall milliseconds. */
  readonly modified: number;
  /** Changes whenever the content may have changed: also by a rename onto it, and by a swapped symbolic link. */
  readonly fingerprint: string;
}

/** Files of one folder; each is an entry in memory and a stat at each poll. */
const MOST_FILES = 10_000;

/** A byte more than the largest that is parsed, so that a longer one is seen to be longer. */
const LARGEST = 1024 * 1024 + 1;

/**
 * The YAML and JSON files of a folder, in the order of their names, symbolic links followed. Hidden ones are left out:
 * the kubelet's `..data`, editors' temporary files, our own.
 */
export async function listFolder(folder: string): Promise<ListedFile[]> {
  const entries = await readdir(folder);
  const names = entries
    .filter((name) => /^[^.].*\.(ya?ml|json)$/i.test(name))
    .sort()
    .slice(0, MOST_FILES);
  const files: ListedFile[] = [];
  for (const name of names) {
    const listed = await describeFile(folder, name);
    if (listed !== undefined) files.push(listed);
  }
  return files;
}

/**
 * One file as it is now; nothing where it is gone, a dangling link, or no regular file. One that cannot be looked at is
 * listed all the same, for a file that is there must not count as deleted.
 */
export async function describeFile(folder: string, name: string): Promise<ListedFile | undefined> {
  const path = join(folder, name);
  try {
    const facts = await stat(path, { bigint: true });
    if (!facts.isFile()) return undefined;
    const fingerprint = [facts.dev, facts.ino, facts.size, facts.mtimeNs, facts.ctimeNs].join(':');
    return { name, path, modified: Number(facts.mtimeMs), fingerprint };
  } catch (error) {
    if (isMissing(error)) return undefined;
    return { name, path, modified: 0, fingerprint: `unreadable: ${reasonOf(error)}` };
  }
}

/** The content of a file, but never more than a little over what is read at all. */
export async function readBounded(path: string): Promise<Uint8Array> {
  // A pipe that took the file's place meanwhile would hang until somebody writes.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(Math.min(LARGEST, (await handle.stat()).size + 1));
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  } finally {
    await handle.close();
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
