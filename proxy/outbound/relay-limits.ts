import type { Clock, Timer } from '../../src/core/clock.ts';
import type { DestinationConnections } from '../../src/resources/destination-policy.ts';

/** What is held against the limits. */
export interface LimitedRelay {
  readonly received: number;
  readonly sent: number;
  abort(reason: string): void;
}

/** Looks at a relay so often within its idle timeout, which is that much longer at most. */
const LOOKS = 4;

/**
 * Ends an opaque connection that lasts too long or in which nothing moves, where a DestinationRule says how long that is.
 * The function returned ends the watch.
 */
export function limitRelay(
  relay: LimitedRelay,
  { idleTimeout, maxConnectionDuration }: DestinationConnections,
  clock: Pick<Clock, 'after'>,
): () => void {
  const timers = new Map<string, Timer>();
  if (maxConnectionDuration !== undefined) {
    timers.set(
      'age',
      clock.after(maxConnectionDuration, () => relay.abort('max connection duration')),
    );
  }
  if (idleTimeout !== undefined) {
    let moved = -1;
    let still = 0;
    const look = (): void => {
      const now = relay.received + relay.sent;
      still = now === moved ? still + 1 : 0;
      moved = now;
      if (still >= LOOKS) relay.abort('idle timeout');
      else timers.set('idle', clock.after(idleTimeout / LOOKS, look));
    };
    look();
  }
  return () => {
    for (const timer of timers.values()) timer.cancel();
  };
}
