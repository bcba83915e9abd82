import { spawnSync } from 'node:child_process';

/** Runs a program of this machine to its end; without a code where there is none of that name. */
export function runProgram(
  program: string,
  args: readonly string[],
  input = '',
): { code: number | undefined; stdout: string; stderr: string } {
  // In the plain locale, since some messages are told apart by their words.
  const env = { ...process.env, LC_ALL: 'C' };
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, env, encoding: 'utf8', timeout: 60_000 });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT')
    return { code: undefined, stdout: '', stderr: '' };
  if (error !== undefined) return { code: 1, stdout: '', stderr: error.message };
  return { code: status ?? 1, stdout, stderr };
}
