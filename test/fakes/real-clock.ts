import { createClock, type Clock } from '../../src/core/clock.ts';

/** The machine's own time, for tests in which real sockets set the pace. */
export const realClock: Clock = createClock({
  now: () => Date.now(),
  elapsed: () => performance.now(),
  setTimeout,
  clearTimeout: (handle) => clearTimeout(handle),
});
