import type { Clock } from '../core/clock.ts';
import { formatDuration } from '../core/duration.ts';
import { SealwrightError } from '../core/errors.ts';

/**
 * The answer, where it comes within a time in milliseconds. What comes later is dropped: the server may still do what
 * it was asked, which the asker finds out by asking again.
 *
 * @throws SealwrightError `kubernetes_unreachable` (the promise)
 */
export function answerInTime<T>(answer: Promise<T>, time: number, clock: Pick<Clock, 'after'>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(time, () => {
      reject(new SealwrightError('kubernetes_unreachable', { reason: `no answer within ${formatDuration(time)}` }));
    });
    answer.then(resolve, reject).finally(() => timer.cancel());
  });
}
