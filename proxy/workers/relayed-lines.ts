/** Characters that are under way to the main thread at most: what it does not take waits where it was written. */
const MOST_UNDER_WAY = 256 * 1024;

/** The access log of a thread: whole lines go to the main thread, which alone writes. */
export class RelayedLines {
  readonly #send: (lines: string, count: number) => void;
  readonly #listeners: (() => void)[] = [];
  #underWay = 0;
  #full = false;

  constructor(send: (lines: string, count: number) => void) {
    this.#send = send;
  }

  /** See `AccessLogOptions.write`. */
  readonly write = (lines: string, count: number): boolean => {
    this.#underWay += lines.length;
    this.#send(lines, count);
    this.#full = this.#underWay >= MOST_UNDER_WAY;
    return !this.#full;
  };

  readonly onDrain = (listener: () => void): void => {
    this.#listeners.push(listener);
  };

  /** The main thread has passed on so many characters. */
  taken(length: number): void {
    this.#underWay -= length;
    if (!this.#full || this.#underWay >= MOST_UNDER_WAY) return;
    this.#full = false;
    for (const listener of this.#listeners) listener();
  }
}
