/** Milliseconds for an orderly end, once nobody waits for it any more. */
const PATIENCE = 5_000;

/**
 * Ends this process when the one that started it has ended, however that ended: the channel between them closes then.
 * Without it, a demo that was killed would leave a CA and four sidecars behind for ever.
 */
export function endWithParent(): void {
  process.once('disconnect', () => {
    setTimeout(() => process.exit(1), PATIENCE).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  // To listen for the end of the channel would keep the process alive for its sake.
  process.channel?.unref();
}
