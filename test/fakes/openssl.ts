import { spawnSync } from 'node:child_process';

const found = spawnSync('openssl', ['version'], { encoding: 'utf8' });

/** Skips the test that runs, saying so, where there is no openssl to judge by; fails it in CI. */
export function requireOpenssl(context: Mocha.Context): void {
  if (found.status === 0) return;
  if (process.env['CI'] !== undefined) throw new Error('openssl is not on the PATH');
  console.warn('\n  NOT TESTED: openssl is not on the PATH\n');
  context.skip();
}

/** Runs openssl and answers what it printed, on either stream, and whether it was content. */
export function openssl(args: readonly string[], input?: Buffer): { ok: boolean; output: string; stdout: Buffer } {
  const { status, stdout, stderr } = spawnSync('openssl', args, { input });
  return { ok: status === 0, output: `${stdout.toString()}${stderr.toString()}`, stdout };
}
