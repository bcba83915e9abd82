import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';

/**
 * Tells that something in a folder may have changed. Watches the folder and not its files: the kubelet swaps a symbolic
 * link and editors rename over a file, and a watch of the file itself goes deaf with the first of either. A watch of
 * the folder goes deaf when the folder itself is replaced, so `renew` is called at each poll.
 */
export class FolderWatch {
  readonly #folder: string;
  readonly #changed: () => void;
  #watcher: FSWatcher | undefined;
  #watched: string | undefined;
  #closed = false;

  constructor(folder: string, changed: () => void) {
    this.#folder = folder;
    this.#changed = changed;
  }

  /** Watches the folder that has the name now. Without one, or without watches left, polling has to do. */
  async renew(): Promise<void> {
    const now = await identityOf(this.#folder);
    if (this.#closed || (now === this.#watched && this.#watcher !== undefined)) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watched = now;
    if (now === undefined) return;
    try {
      const watcher = watch(this.#folder, { persistent: false }, () => this.#changed());
      watcher.on('error', () => {
        watcher.close();
        if (this.#watcher === watcher) this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      // Too many watches, or the folder went away meanwhile: the next poll tries again.
      this.#watched = undefined;
    }
  }

  close(): void {
    this.#closed = true;
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}

async function identityOf(folder: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(folder, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
