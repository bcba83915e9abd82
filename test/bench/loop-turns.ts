import { PerformanceObserver } from 'node:perf_hooks';

/** How long turns of the event loop were, in milliseconds of this thread's CPU: waiting for a core is not ours. */
export interface LoopTurns {
  readonly longest: number;
  /** The same where the time of a turn that went into collecting garbage does not count. */
  readonly longestOfOurs: number;
  /** The longest pause for collecting garbage. */
  readonly longestPause: number;
  readonly turns: number;
}

interface Turn {
  readonly from: number;
  readonly to: number;
  readonly cpu: number;
}

/** Measures the turns of the event loop that an act takes. A turn is what happens between two of its immediates. */
export async function loopTurns(act: () => Promise<unknown>): Promise<LoopTurns> {
  const pauses: { from: number; to: number }[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) pauses.push({ from: startTime, to: startTime + duration });
  });
  observer.observe({ entryTypes: ['gc'] });
  const turns: Turn[] = [];
  const over = new AbortController();
  let [cpu, from] = [process.threadCpuUsage(), performance.now()];
  const settled = act().finally(() => over.abort());
  while (!over.signal.aborted) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    const to = performance.now();
    const { user, system } = process.threadCpuUsage(cpu);
    turns.push({ from, to, cpu: (user + system) / 1000 });
    [cpu, from] = [process.threadCpuUsage(), performance.now()];
  }
  await settled;
  // What the observer was told of last.
  await new Promise<void>((resolve) => setImmediate(resolve));
  observer.disconnect();
  const ours = turns.map((turn) => {
    const within = pauses.filter((pause) => pause.from >= turn.from && pause.to <= turn.to);
    return Math.max(0, turn.cpu - within.reduce((sum, pause) => sum + pause.to - pause.from, 0));
  });
  return {
    longest: largest(turns.map((turn) => turn.cpu)),
    longestOfOurs: largest(ours),
    longestPause: largest(pauses.map((pause) => pause.to - pause.from)),
    turns: turns.length,
  };
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}
