import type { Clock, Timer } from '../src/core/clock.ts';

/** Milliseconds between two looks. */
const INTERVAL = 5_000;
/** CPU milliseconds within one of them up to which the sidecar is quiet: one per cent. */
const QUIET = 50;
/** CPU milliseconds after which a burst has left something worth giving back: some three hundred handshakes. */
const WORTH = 250;

export interface TrimWhenQuietOptions {
  readonly clock: Pick<Clock, 'after'>;
  /** CPU milliseconds that the process has used so far. */
  readonly cpuTime: () => number;
  readonly trim: () => void;
}

/**
 * Gives memory back once after each burst, when nobody is kept waiting by it: a thousand handshakes leave 11 MiB of free
 * pages between what their connections keep. The function returned ends it.
 */
export function trimWhenQuiet({ clock, cpuTime, trim }: TrimWhenQuietOptions): () => void {
  let trimmed = cpuTime();
  let last = trimmed;
  let timer: Timer;
  const look = (): void => {
    const now = cpuTime();
    const quiet = now - last <= QUIET;
    last = now;
    if (quiet && now - trimmed >= WORTH) {
      trim();
      trimmed = last = cpuTime();
    }
    timer = clock.after(INTERVAL, look);
  };
  timer = clock.after(INTERVAL, look);
  return () => timer.cancel();
}
