/**
 * Waits for SIGTERM or SIGINT. A second one ends the process at once, for a person who does not want to wait for the
 * orderly end.
 */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const keepAlive = setInterval(() => undefined, 2 ** 30);
    const stop = (signal: NodeJS.Signals): void => {
      clearInterval(keepAlive);
      for (const each of ['SIGTERM', 'SIGINT'] as const) {
        process.removeListener(each, stop);
        process.once(each, () => process.exit(130));
      }
      resolve(signal);
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  });
}
