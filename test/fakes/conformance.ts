import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'shared', 'conformance');

/**
 * Where a set of conformance data stands, such as `path-normalization.json`: `shared/conformance` beside the project.
 * Nothing where it is absent, and says so; with `CI` set that is a failure, so that a test cannot pass by skipping.
 */
export function conformance(name: string): string | undefined {
  const path = join(FOLDER, name);
  if (existsSync(path)) return path;
  if (process.env['CI'] !== undefined) throw new Error(`conformance data is missing: ${name}`);
  console.warn(`      conformance data is missing, tests of ${name} are skipped`);
  return undefined;
}
