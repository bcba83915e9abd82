/**
 * One finding about something a person wrote: an object all the way to the edge, where text, JSON or a log line is
 * made of it. Used where several things can be wrong at once; a single failure is a `SealwrightError`.
 */
export interface Issue {
  readonly severity: 'error' | 'warning';
  /** A stable name of the rule that was broken, such as `policy_deny_without_rules`. */
  readonly code: string;
  /** What is wrong, lower case, no full stop. */
  readonly message: string;
  /** What would be right. */
  readonly remedy: string;
  /** The field, such as `spec.rules[0].from[0].source.ipBlocks[1]`; empty for the whole document. */
  readonly path: string;
  /** Where it came without a file: `AuthorizationPolicy shop/read`. */
  readonly object?: string;
  readonly file?: string;
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1. */
  readonly column?: number;
}

/** One finding as one line: `file:line:column: error: field: what; remedy`, or with the object in the place of a file. */
export function formatIssue(issue: Issue): string {
  const place = [issue.file ?? issue.object, issue.line, issue.column].filter((part) => part !== undefined).join(':');
  const field = issue.path === '' ? '' : `${issue.path}: `;
  return `${place === '' ? '' : `${place}: `}${issue.severity}: ${field}${issue.message}; ${issue.remedy}`;
}
