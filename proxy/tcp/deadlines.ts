import type { Clock, Timer } from '../../src/core/clock.ts';

/** Something that is called when it has waited too long. The engine's fields belong to `DeadlineQueue`. */
export interface Expiring {
  onDeadline(): void;
  deadline: DeadlineEntry;
}

/** Where an `Expiring` stands in its queue. One per object, made once. */
export class DeadlineEntry {
  readonly owner: Expiring;
  queue: DeadlineQueue | undefined;
  due = 0;
  next: DeadlineEntry | undefined;
  previous: DeadlineEntry | undefined;

  constructor(owner: Expiring) {
    this.owner = owner;
  }
}

/**
 * Timeouts for the data path without a timer for each: one queue a duration, in which what was added first is due
 * first, and one tick for all queues. Adding and removing cost a few assignments. The price is accuracy: a timeout
 * comes up to two ticks late, and never early.
 */
export class Deadlines {
  readonly #clock: Clock;
  /** Milliseconds between two looks at the queues. */
  readonly tick: number;
  readonly #queues = new Map<number, DeadlineQueue>();
  #timer: Timer | undefined;
  #waiting = 0;
  /** Time of the last tick, or of the first entry after a silence, on the clock's `elapsed`. */
  now = 0;

  /** @param tick half a second costs nothing and suits every timeout of the data path */
  constructor(clock: Clock, tick = 500) {
    this.#clock = clock;
    this.tick = tick;
  }

  /** The queue of one duration in milliseconds. Ask once and keep it. */
  queue(delay: number): DeadlineQueue {
    let queue = this.#queues.get(delay);
    if (queue === undefined) {
      queue = new DeadlineQueue(this, delay);
      this.#queues.set(delay, queue);
    }
    return queue;
  }

  /** The clock by which all of them are measured. */
  elapsed(): number {
    return this.#clock.elapsed();
  }

  /** Stops ticking; nothing expires any more. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** For `DeadlineQueue`: one more entry waits. */
  entered(): void {
    this.#waiting += 1;
    if (this.#timer !== undefined) return;
    this.now = this.#clock.elapsed();
    this.#timer = this.#clock.after(this.tick, this.#onTick);
  }

  /** For `DeadlineQueue`: one entry fewer. */
  left(): void {
    this.#waiting -= 1;
  }

  readonly #onTick = (): void => {
    this.#timer = undefined;
    this.now = this.#clock.elapsed();
    for (const queue of this.#queues.values()) queue.expire(this.now);
    // Silent when nothing waits, so that an idle proxy sleeps.
    if (this.#waiting > 0) this.#timer ??= this.#clock.after(this.tick, this.#onTick);
  };
}

/** All entries that wait equally long. */
export class DeadlineQueue {
  readonly #deadlines: Deadlines;
  readonly #delay: number;
  #first: DeadlineEntry | undefined;
  #last: DeadlineEntry | undefined;

  constructor(deadlines: Deadlines, delay: number) {
    this.#deadlines = deadlines;
    this.#delay = delay;
  }

  /** Starts, or starts again, the wait of `entry`; it leaves any other queue. A delay of 0 means for ever. */
  add(entry: DeadlineEntry): void {
    entry.queue?.remove(entry);
    if (this.#delay === 0) return;
    this.#deadlines.entered();
    entry.queue = this;
    // One tick more, since `now` may be nearly one tick old: late is allowed, early is not.
    entry.due = this.#deadlines.now + this.#deadlines.tick + this.#delay;
    entry.previous = this.#last;
    entry.next = undefined;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
  }

  remove(entry: DeadlineEntry): void {
    if (entry.queue !== this) return;
    this.#deadlines.left();
    if (entry.previous === undefined) this.#first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === undefined) this.#last = entry.previous;
    else entry.next.previous = entry.previous;
    entry.queue = entry.next = entry.previous = undefined;
  }

  expire(now: number): void {
    while (this.#first !== undefined && this.#first.due <= now) {
      const entry = this.#first;
      this.remove(entry);
      entry.owner.onDeadline();
    }
  }
}

/** Ends the wait of `entry`, wherever it waits. */
export function cancelDeadline(entry: DeadlineEntry): void {
  entry.queue?.remove(entry);
}
