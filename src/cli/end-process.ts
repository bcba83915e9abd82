export interface EndOptions {
  /** Milliseconds that the process may still take. */
  readonly within: number;
  /** Takes one line of the log, its line break included. */
  readonly log: (line: string) => void;
  /** What the line begins with: what was waited for. */
  readonly waitingFor: string;
  /** The exit code where it is made to end; without it the one that the process has set by then. */
  readonly code?: number;
}

/**
 * Ends the process after a time, and says what held it. Does nothing where it ends by itself before: this keeps no
 * process alive. A supervisor that has to kill what does not end takes a minute for it, and nobody learns why.
 *
 * @returns takes it back
 */
export function endProcessWithin({ within, log, waitingFor, code }: EndOptions): () => void {
  const timer = setTimeout(() => {
    const held = process.getActiveResourcesInfo().toSorted().join(', ');
    log(`sealwright: ${waitingFor} took longer than ${within} ms, and the process ends now; still open: ${held}\n`);
    process.exit(code ?? process.exitCode);
  }, within);
  timer.unref();
  return () => clearTimeout(timer);
}
