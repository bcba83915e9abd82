/** Whether a machine was promised that has everything: there nothing may be left out. */
const EVERYTHING_IS_HERE = (process.env['CI'] ?? '') !== '';

/**
 * Says that something was not tested for want of what this machine lacks; under CI it fails instead, so that a peer is
 * never dropped unnoticed.
 *
 * @throws Error under CI
 */
export function warnNotTested(sentence: string): void {
  if (EVERYTHING_IS_HERE) throw new Error(sentence);
  console.warn(`\n  NOT TESTED: ${sentence}\n`);
}

/** Skips the test that runs, loudly. */
export function skipNotTested(context: Mocha.Context, sentence: string): never {
  warnNotTested(sentence);
  return context.skip();
}
