import type { Issue } from '../core/issue.ts';

/**
 * A resource's content as a typed value, or `undefined` where there is an error among the issues. Issues have the
 * field's path; the place is added by whoever holds the resource's origin.
 */
export interface ParsedSpec<T> {
  readonly value: T | undefined;
  readonly issues: readonly Issue[];
}
