import { chmod, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';

/**
 * The steps by which files of the CA's state come to be, each durable when it resolves. An interface, so that a test
 * can stop between any two of them, and in the middle of a write, as a power cut does.
 */
export interface StateFolder {
  /** Makes a folder for the CA alone (0700), with its parents; an existing one is made so. */
  readonly makePrivate: (path: string) => Promise<void>;
  /** Makes a new folder (0700). Fails where there is one. */
  readonly make: (path: string) => Promise<void>;
  /** Writes a new file with these rights and waits until the disk has it. Fails where there is one. */
  readonly write: (path: string, text: string, mode: number) => Promise<void>;
  /** Renames a file or folder. A folder that holds something is never replaced. */
  readonly move: (from: string, to: string) => Promise<void>;
  /** Waits until the disk has what was made, renamed and removed in this folder. */
  readonly sync: (path: string) => Promise<void>;
  /** Removes an empty folder. */
  readonly removeEmpty: (path: string) => Promise<void>;
  /** Removes a folder and what is in it. */
  readonly removeWhole: (path: string) => Promise<void>;
  /** The names in a folder; undefined where there is no such folder. */
  readonly list: (path: string) => Promise<string[] | undefined>;
}

export const stateFolder: StateFolder = {
  makePrivate: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
  },
  make: (path) => mkdir(path, { mode: 0o700 }),
  write: async (path, text, mode) => {
    await using handle = await open(path, 'wx', mode);
    await handle.writeFile(text);
    await handle.sync();
  },
  move: (from, to) => rename(from, to),
  sync: async (path) => {
    // Windows has no such call for folders, and its file systems journal names by themselves.
    if (process.platform === 'win32') return;
    await using handle = await open(path, 'r');
    await handle.sync();
  },
  removeEmpty: (path) => rmdir(path),
  removeWhole: (path) => rm(path, { recursive: true, force: true }),
  list: (path) =>
    readdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }),
};
