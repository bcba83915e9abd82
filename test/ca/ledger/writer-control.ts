import { once } from 'node:events';
import { BroadcastChannel } from 'node:worker_threads';

/** Tells obedient-writer-worker.ts, which writes below `folder`, what shall go wrong. */
export class WriterControl {
  readonly #channel: BroadcastChannel;

  constructor(folder: string) {
    this.#channel = new BroadcastChannel(`writer below ${folder}`);
  }

  /** The database file may have this many pages: SQLite then fails as it does on a full disk. Resolves when it is so. */
  async limitPages(pages: number): Promise<void> {
    const obeyed = once(this.#channel, 'message');
    this.#say(pages);
    await obeyed;
  }

  /** Ends the thread in whatever it does. */
  die(): void {
    this.#say('die');
  }

  /** On the thread: calls back with each order, and says when it was carried out. */
  onOrder(obey: (order: unknown) => void): void {
    this.#channel.addEventListener('message', (event) => {
      if ('data' in event) obey(event.data);
      this.#say('done');
    });
  }

  close(): void {
    this.#channel.close();
  }

  #say(message: unknown): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#channel.postMessage(message);
  }
}
