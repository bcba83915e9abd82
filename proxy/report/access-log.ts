import type { Clock, Timer } from '../../src/core/clock.ts';
import type { Count } from '../../src/observe/metrics.ts';
import type { AccessEntry } from './access-entry.ts';
import { formatAccessEntry, type AccessLogFormat } from './format-access-entry.ts';

export interface AccessLogOptions {
  readonly mode: 'off' | 'errors' | 'all';
  readonly format: AccessLogFormat;
  readonly clock: Clock;
  /** Takes so many whole lines. Answers false where it takes no more for now; `onDrain` says when it does again. */
  readonly write: (lines: string, count: number) => boolean;
  readonly onDrain: (listener: () => void) => void;
  /** Counts the lines that were lost because nobody took them. */
  readonly dropped: Count;
  /** Told of each line that waits to be taken. */
  readonly onWaiting?: (() => void) | undefined;
}

/** By which lines are counted that were lost. */
export const DROPPED = Object.freeze({
  name: 'sealwright_access_log_dropped_total',
  help: 'Lines of the access log that were lost.',
});

/** Milliseconds that lines are gathered for, so that a thousand requests cost one write. */
const FLUSH_INTERVAL = 100;
/** Characters that wait at most, while the reader of the log is slow. What exceeds them is counted and lost. */
const MAX_WAITING = 1024 * 1024;
const FLUSH_AT = 64 * 1024;

/** The access log: lossy and bounded, so that a log that nobody reads stops no traffic. */
export class AccessLog {
  readonly #options: AccessLogOptions;
  #waiting: string[] = [];
  #length = 0;
  #timer: Timer | undefined;
  #blocked = false;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    options.onDrain(() => {
      this.#blocked = false;
      this.flush();
    });
  }

  /** Whether an entry would be written: ask before making one. */
  wants(outcome: { readonly failed: boolean }): boolean {
    const { mode } = this.#options;
    return mode === 'all' || (mode === 'errors' && outcome.failed);
  }

  write(entry: AccessEntry): void {
    const line = formatAccessEntry(entry, this.#options.format);
    if (this.#length + line.length > MAX_WAITING) {
      this.#options.dropped.add(1);
      return;
    }
    this.#options.onWaiting?.();
    this.#waiting.push(line);
    this.#length += line.length;
    if (this.#length >= FLUSH_AT) this.flush();
    else this.#timer ??= this.#options.clock.after(FLUSH_INTERVAL, () => this.flush());
  }

  /** Writes what waits. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#blocked || this.#length === 0) return;
    const count = this.#waiting.length;
    const lines = this.#waiting.join('');
    this.#waiting = [];
    this.#length = 0;
    this.#blocked = !this.#options.write(lines, count);
  }

  /** Writes what waits; what nobody takes is lost. */
  close(): void {
    this.flush();
    this.#options.dropped.add(this.#waiting.length);
    this.#waiting = [];
    this.#length = 0;
  }
}
