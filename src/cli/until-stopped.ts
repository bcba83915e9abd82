/**
 * Waits for SIGTERM or SIGINT, or for `ended`, where the process may end by itself. A second signal ends the process
 * at once, for a person who does not want to wait for the orderly end. Rejects where `ended` does.
 */
export function untilStopped(ended?: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const keepAlive = setInterval(() => undefined, 2 ** 30);
    const orderly = (): void => {
      clearInterval(keepAlive);
      for (const each of ['SIGTERM', 'SIGINT'] as const) {
        process.removeListener(each, stop);
        process.once(each, () => process.exit(130));
      }
    };
    const stop = (): void => {
      orderly();
      resolve();
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
    ended?.then(stop, (error: unknown) => {
      orderly();
      reject(error);
    });
  });
}
