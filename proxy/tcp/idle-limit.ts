import type { Deadlines, DeadlineQueue } from './deadlines.ts';

/** How long nothing may pass over an opaque connection, in parts of it: each is looked at once, so that bytes cost nothing. */
export interface IdleLimit {
  /** Of one part. */
  readonly queue: DeadlineQueue;
  /** At so many looks in a row nothing may have passed. */
  readonly looks: number;
}

/** A connection ends up to a quarter of the time late, and never early. */
const PARTS = 4;

/** @param timeout milliseconds; 0 for never */
export function idleLimit(deadlines: Deadlines, timeout: number): IdleLimit | undefined {
  return timeout === 0 ? undefined : { queue: deadlines.queue(Math.ceil(timeout / PARTS)), looks: PARTS };
}
