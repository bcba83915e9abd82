/**
 * Waits for SIGTERM or SIGINT, from the moment of this call: make it before whatever is to be stopped starts, so that a
 * signal during the start is not lost. It does not keep the process alive; what listens does. A second signal ends the
 * process at once, for a person who does not want to wait for the orderly end.
 */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
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
