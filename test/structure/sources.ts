import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface Source {
  /** Relative to the project, with forward slashes. */
  readonly file: string;
  /** The room, such as `src/pki`, `ca`, `proxy` or `test`. */
  readonly room: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

export interface Import {
  readonly line: number;
  /** As written. */
  readonly specifier: string;
  /** For a relative import: the file it names, relative to the project. */
  readonly target: string | undefined;
}

const SPECIFIER = /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*|\bexport\s+\*\s+from\s+)(['"])([^'"\n]+)\1/g;

/** Every TypeScript file below the given top-level folders. */
export function readSources(...folders: string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(PROJECT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => readSource(relative(PROJECT, join(entry.parentPath, entry.name)).split(sep).join('/'))),
  );
}

function readSource(file: string): Source {
  const text = readFileSync(join(PROJECT, file), 'utf8');
  const imports = [...text.matchAll(SPECIFIER)].map((match): Import => {
    const specifier = match[2] ?? '';
    return {
      line: text.slice(0, match.index).split('\n').length,
      specifier,
      target: specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : undefined,
    };
  });
  return { file, room: roomOf(file), text, imports };
}

export function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  return top === 'src' ? `src/${second}` : top;
}
