import { formatIssue, type Issue } from '../core/issue.ts';
import { CheckFailed, type CommandContext } from './command.ts';

/**
 * Writes findings to stderr, a line each.
 *
 * @throws CheckFailed where one of them is an error
 */
export function sayIssues(issues: readonly Issue[], context: CommandContext): void {
  for (const issue of issues) context.stderr(`${formatIssue(issue)}\n`);
  if (issues.some(({ severity }) => severity === 'error')) throw new CheckFailed();
}
