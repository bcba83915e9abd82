import { readFileSync } from 'node:fs';

/** The version in package.json, which stands two folders up from the source and three from the emitted files. */
export function packageVersion(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8'));
      if (
        typeof parsed === 'object' &&
        parsed !== null &&
        'name' in parsed &&
        parsed.name === 'sealwright' &&
        'version' in parsed
      ) {
        return String(parsed.version);
      }
    } catch {
      // Not there: the other place is tried.
    }
  }
  return 'unknown';
}
