import { setImmediate } from 'node:timers/promises';

/** Waits until something holds that another part brings about and tells nobody of; fails after a time in milliseconds. */
export async function eventually(holds: () => boolean | Promise<boolean>, within = 10_000): Promise<void> {
  const end = performance.now() + within;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it did not come about within ${within} ms: ${holds.toString()}`);
    await setImmediate();
  }
}
