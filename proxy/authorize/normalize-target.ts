import { normalizePath, splitTarget, type PathNormalization } from '../../src/policy/path-normalization.ts';

/**
 * A request target as the application will receive it: its path normalized, its query as it was. Undefined where it is
 * refused. What comes out is judged and forwarded alike (invariant 7).
 */
export function normalizeTarget(target: string, normalization: PathNormalization): string | undefined {
  const { path, query } = splitTarget(target);
  const normalized = normalizePath(path, normalization);
  if (typeof normalized !== 'string') return undefined;
  if (query === '') return normalized;
  return normalized === path && path.length + query.length === target.length ? target : normalized + query;
}
