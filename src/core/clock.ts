/** A pending call that can be taken back. Cancelling twice, or after it ran, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as an argument: rooms never read the real clock, so that a test can move it.
 * Wall times are milliseconds since 1970-01-01T00:00Z.
 */
export interface Clock {
  /** Wall time in milliseconds. */
  now(): number;
  /** Milliseconds from an arbitrary start that never go backwards, for measuring how long something took. */
  elapsed(): number;
  /** Calls back once after a delay in milliseconds, of any length. Does not keep the process alive by itself. */
  after(delay: number, call: () => void): Timer;
  /** Calls back once when wall time has reached `time`, also where the machine slept or the clock was set meanwhile. */
  at(time: number, call: () => void): Timer;
}

/** What a real clock is made of; the composition roots pass the runtime's own functions. */
export interface ClockSource {
  readonly now: () => number;
  readonly elapsed: () => number;
  readonly setTimeout: (call: () => void, delay: number) => { unref?: () => unknown };
  readonly clearTimeout: (handle: never) => void;
}

/** setTimeout fires after 1 ms for any delay above this (24.8 days), so longer ones are cut into pieces. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** How often `at` compares with wall time: a laptop that slept catches up within this many milliseconds. */
const WALL_CHECK_INTERVAL = 30_000;

export function createClock(source: ClockSource): Clock {
  const schedule = (nextDelay: () => number | undefined, call: () => void): Timer => {
    let handle: { unref?: () => unknown } | undefined;
    const step = (): void => {
      const delay = nextDelay();
      if (delay === undefined) {
        handle = undefined;
        call();
        return;
      }
      handle = source.setTimeout(step, delay);
      handle.unref?.();
    };
    step.call(undefined);
    return {
      cancel: () => {
        if (handle !== undefined) source.clearTimeout(handle as never);
        handle = undefined;
      },
    };
  };

  return {
    now: source.now,
    elapsed: source.elapsed,
    after: (delay, call) => {
      let left = Math.max(0, delay);
      let started = false;
      return schedule(() => {
        if (started && left <= 0) return undefined;
        started = true;
        const piece = Math.min(left, LONGEST_TIMEOUT);
        left -= piece;
        return piece;
      }, call);
    },
    at: (time, call) => {
      let started = false;
      return schedule(() => {
        const left = time - source.now();
        // The first step always waits, so that a callback never runs before `at` has returned.
        if (started && left <= 0) return undefined;
        started = true;
        return Math.min(Math.max(0, left), WALL_CHECK_INTERVAL);
      }, call);
    },
  };
}
