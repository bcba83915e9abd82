import { spawnSync } from 'node:child_process';
import { skipNotTested } from './not-tested.ts';

/** What a tool printed, both streams as one text, and its exit code. */
export interface ToolResult {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program of the machine's own to its end. */
export function runTool(name: string, ...args: string[]): ToolResult {
  const { status, stdout, stderr, error } = spawnSync(name, args, { encoding: 'utf8', timeout: 60_000 });
  if (error !== undefined) throw error;
  return { code: status, output: stdout + stderr };
}

/** Skips the running test, loudly, where the machine lacks the tool; fails it where CI is to have everything. */
export function needTool(context: Mocha.Context, name: string): void {
  const found = spawnSync(name, ['-help'], { stdio: 'ignore' }).error === undefined;
  if (found) return;
  skipNotTested(context, `${context.test?.fullTitle() ?? ''}: ${name} is not on this machine`);
}
