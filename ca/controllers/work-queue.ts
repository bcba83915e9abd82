import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';

export interface WorkQueueOptions {
  /** Brings about what should be for one key. Where it rejects, it is called again later. */
  readonly work: (key: string) => Promise<void>;
  /** Told of each failure; answers how many milliseconds to wait at least, where somebody asked for that. */
  readonly onFailure: (key: string, error: unknown) => number | undefined;
  /** Keys at once. */
  readonly concurrency: number;
  /** The longest first delay after a failure, and the longest of all, in milliseconds. */
  readonly retry: { readonly initial: number; readonly max: number };
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  readonly random: Random;
}

/**
 * What has to be looked at, by key: each key once however often it is added, never twice at a time, and once more where
 * it was added while it was under way. What has just happened goes before what waits from the start, so that one new
 * namespace is not behind ten thousand old ones.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #urgent = new Set<string>();
  readonly #waiting = new Set<string>();
  /** Keys under way, and whether they have to be looked at again. */
  readonly #running = new Map<string, boolean>();
  readonly #delayed = new Map<string, { readonly timer: Timer; readonly due: number }>();
  readonly #backoffs = new Map<string, Backoff>();
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait for their turn, those of a later time among them. */
  get depth(): number {
    return this.#urgent.size + this.#waiting.size + this.#delayed.size;
  }

  add(key: string, { urgent = false }: { readonly urgent?: boolean } = {}): void {
    if (this.#closed) return;
    if (this.#running.has(key)) this.#running.set(key, true);
    else if (urgent) {
      this.#waiting.delete(key);
      this.#urgent.add(key);
    } else if (!this.#urgent.has(key)) this.#waiting.add(key);
    this.#pump();
  }

  /** Adds it after so many milliseconds; where it is to be added sooner already, that stays. */
  addAfter(key: string, delay: number): void {
    const { clock } = this.#options;
    const due = clock.elapsed() + delay;
    const planned = this.#delayed.get(key);
    if (this.#closed || (planned !== undefined && planned.due <= due)) return;
    planned?.timer.cancel();
    const timer = clock.after(delay, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { timer, due });
  }

  /** Forgets what waits, and resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    for (const waiting of [this.#urgent, this.#waiting, this.#delayed]) waiting.clear();
    if (this.#running.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #pump(): void {
    while (!this.#closed && this.#running.size < this.#options.concurrency) {
      const lane = this.#urgent.size > 0 ? this.#urgent : this.#waiting;
      const [key] = lane;
      if (key === undefined) return;
      lane.delete(key);
      this.#running.set(key, false);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    const { work } = this.#options;
    try {
      await work(key);
      this.#backoffs.delete(key);
    } catch (error) {
      this.#failed(key, error);
    }
    const again = this.#running.get(key) ?? false;
    this.#running.delete(key);
    if (again) this.add(key, { urgent: true });
    this.#pump();
    if (this.#running.size === 0) this.#idle?.();
  }

  #failed(key: string, error: unknown): void {
    const { onFailure, retry, random } = this.#options;
    const wanted = onFailure(key, error) ?? 0;
    const backoff = this.#backoffs.get(key) ?? new Backoff({ ...retry, random });
    this.#backoffs.set(key, backoff);
    this.addAfter(key, Math.max(wanted, backoff.next()));
  }
}
