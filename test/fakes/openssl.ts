import { spawnSync } from 'node:child_process';

/** Runs openssl and answers what it printed, on either stream, and whether it was content. */
export function openssl(args: readonly string[], input?: Buffer): { ok: boolean; output: string; stdout: Buffer } {
  const { status, stdout, stderr } = spawnSync('openssl', args, { input });
  return { ok: status === 0, output: `${stdout.toString()}${stderr.toString()}`, stdout };
}
