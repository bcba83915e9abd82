import type { Clock } from './clock.ts';
import { reasonOf } from './errors.ts';
import type { Logger } from './logger.ts';

export interface StoppingPart {
  /** In the log, should it not stop. */
  readonly name: string;
  stop(): Promise<void> | void;
}

export interface StopOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long one part is waited for, in milliseconds; undefined for as long as it takes. */
  readonly patience: number | undefined;
}

/**
 * Stops one part behind the other. One that fails, or takes longer than is waited for, is named in the log and does not
 * keep those behind it from stopping.
 */
export async function stopInOrder(parts: Iterable<StoppingPart>, options: StopOptions): Promise<void> {
  for (const part of parts) await stopPart(part, options);
}

async function stopPart(part: StoppingPart, { clock, logger, patience }: StopOptions): Promise<void> {
  const { name } = part;
  const stopping = (async (): Promise<void> => part.stop())().catch((error: unknown) => {
    logger.error('a part did not stop cleanly', { part: name, reason: reasonOf(error) });
  });
  if (patience === undefined) {
    await stopping;
    return;
  }
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const timer = clock.after(patience, () => resolve('late'));
  const outcome = await Promise.race([stopping, late]);
  timer.cancel();
  if (outcome === 'late') logger.error('a part did not stop in time', { part: name, waitedMs: patience });
}
