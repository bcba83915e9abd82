import { createClock } from '../../src/core/clock.ts';

/** For tests over real sockets, whose other end lives in real time too. */
export const REAL_CLOCK = createClock({
  now: Date.now,
  elapsed: () => performance.now(),
  setTimeout,
  clearTimeout,
});
