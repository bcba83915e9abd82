import { suggestWord } from '../core/nearest-word.ts';
import type { Findings } from './findings.ts';

/** One object of a document, its unknown fields already reported. `path` is where it stands. */
export interface FieldObject {
  readonly path: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The name of a field below a path, written so that the one who parsed the text can find it again. */
export function fieldPath(parent: string, key: string | number): string {
  if (typeof key === 'number') return `${parent}[${key}]`;
  if (!/^[A-Za-z_$][\w$-]*$/.test(key)) return `${parent}[${/^\d+$|[\]"]/.test(key) ? JSON.stringify(key) : key}]`;
  return parent === '' ? key : `${parent}.${key}`;
}

/** Kubernetes drops nulls: a field that is null was not given. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Says what a value is, in the words of YAML. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a mapping' : `a ${typeof value}`;
}

export function wrongType(findings: Findings, path: string, wanted: string, value: unknown): undefined {
  findings.error({
    code: 'policy_wrong_type',
    path,
    message: `is ${kindOf(value)} and must be ${wanted}`,
    remedy: `write ${example(value, wanted) ?? wanted}`,
  });
  return undefined;
}

/** As it would be right, where that is no more than quotes or brackets around what is there. */
function example(value: unknown, wanted: string): string | undefined {
  if (wanted === 'text' && (typeof value === 'number' || typeof value === 'boolean')) return `"${value}", in quotes`;
  if (wanted !== 'a list' || typeof value !== 'string' || value.length > 100) return undefined;
  return `a list: [${JSON.stringify(value)}]`;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads a mapping of anything. Nothing if it is not given or is something else, which is reported. */
export function readMapping(findings: Findings, path: string, value: unknown): FieldObject | undefined {
  if (!isGiven(value)) return undefined;
  return isMapping(value) ? { path, fields: value } : wrongType(findings, path, 'a mapping', value);
}

/** Reads a mapping of known fields; a field of another name is an error. */
export function readObject(
  findings: Findings,
  { path, value, known }: { path: string; value: unknown; known: readonly string[] },
): FieldObject | undefined {
  const object = readMapping(findings, path, value);
  for (const name of Object.keys(object?.fields ?? {})) {
    if (!known.includes(name)) findings.unknownField(fieldPath(path, name), name, known);
  }
  return object;
}

/** Reads a list; nothing if it is not given. */
export function readList(findings: Findings, path: string, value: unknown): readonly unknown[] | undefined {
  if (!isGiven(value)) return undefined;
  return Array.isArray(value) ? (value as readonly unknown[]) : wrongType(findings, path, 'a list', value);
}

export function readText(findings: Findings, path: string, value: unknown): string | undefined {
  if (!isGiven(value)) return undefined;
  return typeof value === 'string' ? value : wrongType(findings, path, 'text', value);
}

/** Reads one of a few words. Answers `absent` where it is not given, and `instead` where it is none of them: an error. */
export function readWord<Word extends string>(
  findings: Findings,
  path: string,
  value: unknown,
  {
    what,
    code,
    words,
    absent,
    instead,
  }: Readonly<{ what: string; code: string; words: readonly Word[] }> & Readonly<Record<'absent' | 'instead', Word>>,
): Word {
  const text = readText(findings, path, value) ?? absent;
  const word = words.find((known) => known === text);
  if (word !== undefined) return word;
  const message = `there is no ${what} ${JSON.stringify(text.slice(0, 100))}`;
  findings.error({ code, path, message, remedy: suggestWord(text, words, `write one of ${words.join(', ')}`) });
  return instead;
}

/** Reads a list of texts none of which is empty: an empty one would match what was never meant. */
export function readTexts(findings: Findings, object: FieldObject, name: string): readonly string[] {
  const path = fieldPath(object.path, name);
  const list = readList(findings, path, object.fields[name]) ?? [];
  return list.flatMap((item, index) => {
    const at = fieldPath(path, index);
    if (typeof item !== 'string') return wrongType(findings, at, 'text', item) ?? [];
    if (item !== '') return [item];
    findings.error({
      code: 'policy_empty_value',
      path: at,
      message: 'is empty',
      remedy: 'write a value, or leave the entry out',
    });
    return [];
  });
}

/** Reads a mapping of texts, such as labels. */
export function readTextMap(findings: Findings, path: string, value: unknown): ReadonlyMap<string, string> {
  const object = readMapping(findings, path, value);
  const texts = new Map<string, string>();
  for (const [key, item] of Object.entries(object?.fields ?? {})) {
    const text = typeof item === 'string' ? item : wrongType(findings, fieldPath(path, key), 'text', item);
    if (text !== undefined) texts.set(key, text);
  }
  return texts;
}
