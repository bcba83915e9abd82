import { setImmediate } from 'node:timers/promises';

/** Waits until something holds that another part brings about and tells nobody of; mocha's timeout ends it. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setImmediate();
}
