import { availableParallelism, loadavg } from 'node:os';

/**
 * A second, in milliseconds, for a process that has a core when it wants one; on a machine with more to do than cores it
 * is as much longer as others have to wait there.
 */
export function aSecond(): number {
  const [load = 0] = loadavg();
  return 1_000 * Math.max(1, load / availableParallelism());
}
