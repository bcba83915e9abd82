import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { skipNotTested, warnNotTested } from './not-tested.ts';
import { PROJECT } from '../structure/sources.ts';

/** The conformance data lies beside the project: it is other people's, and not a part of it. */
const FOLDER = join(PROJECT, '..', 'shared', 'conformance');

export interface ConformanceData {
  readonly text: (...path: string[]) => string;
  readonly json: (...path: string[]) => unknown;
}

/**
 * A suite over conformance data, such as `spiffe-x509`. Where the data is not there, the suite fails in CI; elsewhere
 * it says so and is skipped: it never passes by having read nothing.
 */
export function describeConformance(title: string, entry: string, suite: (data: ConformanceData) => void): void {
  if (existsSync(join(FOLDER, entry))) {
    const text = (...path: string[]): string => readFileSync(join(FOLDER, ...path), 'utf8');
    describe(title, () => suite({ text, json: (...path) => JSON.parse(text(...path)) }));
    return;
  }
  const missing = `conformance data ${entry} is not at ../shared/conformance beside the project`;
  describe(title, () => {
    it('has its data', function () {
      skipNotTested(this, `${title}: ${missing}`);
    });
  });
}

/** The path of an entry for a test that reads it by itself, undefined where it is absent; in CI that is a failure. */
export function conformance(entry: string): string | undefined {
  const path = join(FOLDER, entry);
  if (existsSync(path)) return path;
  const missing = `conformance data ${entry} is not at ../shared/conformance beside the project`;
  warnNotTested(missing);
  return undefined;
}
