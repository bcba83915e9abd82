import { setTimeout as sleep } from 'node:timers/promises';

/** Asks a server again, twenty times a second, until something holds; fails after a time in milliseconds. */
export async function until(holds: () => boolean | Promise<boolean>, within = 20_000): Promise<void> {
  const end = performance.now() + within;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it did not come about within ${within} ms: ${holds.toString()}`);
    await sleep(50);
  }
}
