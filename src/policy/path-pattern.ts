import { compilePathTemplate, isPathTemplate } from './path-template.ts';
import { compileStringPatterns } from './string-pattern.ts';

/** `paths`: string patterns and templates, against the normalized path without its query. */
export function compilePath(values: readonly string[]): (path: string) => boolean {
  const templates = values.filter(isPathTemplate).map(compilePathTemplate);
  const patterns = values.filter((value) => !isPathTemplate(value));
  const matches = compileStringPatterns(patterns, { present: 'non-empty' });
  if (templates.length === 0) return matches;
  return (path) => matches(path) || templates.some((template) => template(path));
}
