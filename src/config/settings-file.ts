import type { Issue } from '../core/issue.ts';
import { described } from './field-schema.ts';
import { suggestWord } from '../core/nearest-word.ts';
import type { Written } from './setting.ts';
import { isSetting } from './settings-rows.ts';
import { SETTINGS } from './settings-table.ts';
import { parseYaml, placeIssue, type YamlDocument } from './yaml-document.ts';

export interface SettingsFile {
  /** Its path: for messages, and because relative paths in it stand beside it. */
  readonly name: string;
  readonly text: string;
}

/** What the file says, still as written, and where. */
export interface SettingsInFile {
  readonly written: ReadonlyMap<string, Written>;
  readonly document: YamlDocument | undefined;
  readonly issues: readonly Issue[];
}

/** Reads the settings file: one YAML document whose keys are those of the table, nested. */
export function readSettingsFile(file: SettingsFile): SettingsInFile {
  const { documents, issues } = parseYaml(file.text, { file: file.name });
  const [document, second] = documents;
  if (document === undefined || issues.length > 0) return { written: new Map(), document, issues };
  const found: Issue[] = [];
  const report = (path: string, code: string, message: string, remedy: string): void => {
    found.push(placeIssue({ severity: 'error', code, message, remedy, path }, document));
  };
  if (second !== undefined) {
    const issue = { severity: 'error', code: 'settings_documents', path: '' } as const;
    const words = { message: 'a second document', remedy: 'keep all settings in one document' };
    found.push(placeIssue({ ...issue, ...words }, second));
  }
  const written = new Map<string, Written>();
  const walk = (group: object, value: unknown, path: string): void => {
    // A group whose fields are all commented out reads as an empty value, and means nothing.
    if (value === null) return;
    if (!isRecord(value)) {
      const remedy = `write below it, indented: ${Object.keys(group).join(', ')}`;
      report(path, 'setting_group', `${described(value)} stands where a group of settings belongs`, remedy);
      return;
    }
    for (const [name, below] of Object.entries(value)) {
      const here = path === '' ? name : `${path}.${name}`;
      const node: unknown = Object.hasOwn(group, name)
        ? Object.getOwnPropertyDescriptor(group, name)?.value
        : undefined;
      if (!isRecord(node)) {
        const known = Object.keys(group);
        report(here, 'setting_unknown', 'unknown setting', suggestWord(name, known, `one of: ${known.join(', ')}`));
      } else if (!isSetting(node)) walk(node, below, here);
      else {
        const text = writtenOf(below);
        if (text !== undefined) written.set(here, text);
        else report(here, 'setting_invalid', `${described(below)} is no value`, `write ${wantedText(node.type)}`);
      }
    }
  };
  walk(SETTINGS, document.value, '');
  return { written, document, issues: found };
}

function wantedText(type: string): string {
  return type === 'list' ? 'a list of texts' : `one value (${type})`;
}

function writtenOf(value: unknown): Written | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!Array.isArray(value)) return undefined;
  const items = value.map((item: unknown) => (typeof item === 'object' ? undefined : writtenOf(item)));
  return items.every((item) => typeof item === 'string') ? items : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
