import type { Issue } from '../core/issue.ts';
import { formatFieldPath, type FieldStep } from './field-path.ts';
import type { SourceDocument } from './yaml-document.ts';
import { DEEPEST, MOST_VALUES } from './yaml-value.ts';

/**
 * A value that is a document already, such as an object that an API server sends. Never throws: what JSON does not have,
 * or what is beyond the bounds of a YAML document, is an issue with its field. The value is copied, so that whoever reads
 * it may freeze it.
 */
export function jsonDocument(value: unknown): SourceDocument {
  const issues: Issue[] = [];
  let values = 0;
  const refuse = (path: readonly FieldStep[], code: string, message: string, remedy: string): undefined => {
    const at = formatFieldPath(path.slice(0, 16));
    if (issues.length < 20) issues.push(Object.freeze({ severity: 'error', code, message, remedy, path: at }));
    return undefined;
  };
  const read = (item: unknown, path: readonly FieldStep[]): unknown => {
    values += 1;
    if (values > MOST_VALUES) return refuse([], 'json_too_large', `more than ${MOST_VALUES} values`, 'split it');
    if (path.length > DEEPEST)
      return refuse(path, 'json_too_deep', `nested deeper than ${DEEPEST} levels`, 'flatten it');
    if (item === null || typeof item === 'string' || typeof item === 'boolean') return item;
    if (typeof item === 'number') {
      const exact = Number.isFinite(item) && (!Number.isInteger(item) || Number.isSafeInteger(item));
      return exact ? item : refuse(path, 'json_value', 'not a number that can be kept exactly', 'write it as text');
    }
    if (Array.isArray(item)) return item.map((inner: unknown, index) => read(inner, [...path, index]));
    if (typeof item !== 'object')
      return refuse(path, 'json_value', `${typeof item} is nothing that JSON has`, 'remove it');
    const copy: Record<string, unknown> = {};
    for (const [name, inner] of Object.entries(item)) {
      if (name === '__proto__') refuse(path, 'json_value', '__proto__ is no name of a field', 'leave it out');
      else copy[name] = read(inner, [...path, name]);
      if (values > MOST_VALUES) break;
    }
    return copy;
  };
  const copy = read(value, []);
  return Object.freeze({
    file: undefined,
    value: issues.length > 0 ? undefined : copy,
    issues: Object.freeze(issues),
    locate: () => undefined,
  });
}
