import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of package.json, which stands two folders up from the source and three from the emitted files. */
export function packageRoot(): { readonly folder: string; readonly version: string } {
  for (const up of ['../../', '../../../']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8'));
      if (
        typeof parsed === 'object' &&
        parsed !== null &&
        'name' in parsed &&
        parsed.name === 'sealwright' &&
        'version' in parsed
      ) {
        return { folder: fileURLToPath(new URL(up, import.meta.url)), version: String(parsed.version) };
      }
    } catch {
      // Not there: the other place is tried.
    }
  }
  return { folder: '', version: 'unknown' };
}
