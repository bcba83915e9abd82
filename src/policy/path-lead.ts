import { isPathTemplate } from './path-template.ts';

/** A path that has to be this one. */
export const WHOLE = -1;
/** Nothing is known of how a path begins. */
export const UNKNOWN = -2;

/** How many characters of a pattern a path that it matches begins with; or `WHOLE`, or `UNKNOWN`. See `parseStringPattern`. */
export function pathLead(pattern: string): number {
  if (pattern.includes('{') && isPathTemplate(pattern)) return pattern.indexOf('{');
  if (pattern.startsWith('*')) return UNKNOWN;
  return pattern.endsWith('*') ? pattern.length - 1 : WHOLE;
}
