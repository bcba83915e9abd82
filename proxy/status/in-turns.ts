import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/core/clock.ts';
import { oneTurn, TURN, type Slices } from '../../src/policy/slices.ts';

/** Works through slices in turns of the event loop that are short for everybody else. */
export async function inTurns<Result>(slices: Slices<Result>, clock: Pick<Clock, 'elapsed'>): Promise<Result> {
  for (;;) {
    const done = oneTurn(slices, { elapsed: () => clock.elapsed(), budget: TURN });
    if (done !== undefined) return done.result;
    await setImmediate();
  }
}
