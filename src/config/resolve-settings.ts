import { dirname, isAbsolute, join } from 'node:path';
import type { Issue } from '../core/issue.ts';
import { nearestWord, suggestWord } from '../core/nearest-word.ts';
import { Unreadable, type Written } from './setting.ts';
import { readSettingsFile, type SettingsFile, type SettingsInFile } from './settings-file.ts';
import { SETTING_ROWS, VARIABLE_PREFIX, type SettingRow } from './settings-rows.ts';
import { checkSettings } from './settings-rules.ts';
import type { Settings } from './settings-table.ts';
import { placeIssue } from './yaml-document.ts';

export type FlagValue = string | number | boolean | readonly string[] | undefined;

export interface SettingsInput {
  /** By flag name without dashes, such as `ca-listen`; those that were not given are absent or `undefined`. */
  readonly flags: Readonly<Record<string, FlagValue>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file?: SettingsFile | undefined;
  /** Absolute: where relative paths start that do not stand beside the file. They are left as they are without it. */
  readonly folder?: string | undefined;
}

/** Where the value in force comes from, for `doctor` and messages. */
export type SettingSource =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'file'; readonly name: string; readonly line: number; readonly column: number }
  | { readonly kind: 'default' };

export type ResolvedSettings =
  | {
      readonly settings: Settings;
      /** By key, such as `ca.listen`. */
      readonly sources: ReadonlyMap<string, SettingSource>;
      /** Warnings alone. */
      readonly issues: readonly Issue[];
    }
  | { readonly settings: undefined; readonly issues: readonly Issue[] };

/** What Kubernetes sets in every pod beside a Service, such as `SEALWRIGHT_CA_PORT_15012_TCP_ADDR`. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** Flags beat variables, variables beat the file, the file beats defaults. Never throws on bad input. */
export function resolveSettings({ flags, env, file, folder }: SettingsInput): ResolvedSettings {
  const inFile = file === undefined ? undefined : readSettingsFile(file);
  const issues: Issue[] = [...(inFile?.issues ?? []), ...unknownFlags(flags), ...unknownVariables(env)];
  const sources = new Map<string, SettingSource>();
  const values = new Map<string, unknown>();
  const onCluster = (env['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  for (const row of SETTING_ROWS) {
    const { written, source } = find(row, { flags, env, inFile, onCluster });
    sources.set(row.key, source);
    const value = written === undefined ? undefined : row.setting.read(written);
    if (value instanceof Unreadable) issues.push(describe(row.key, source, inFile, refusal(written, value)));
    else values.set(row.key, placed(value, { row, source, onCluster, file, folder }));
  }
  if (issues.some((issue) => issue.severity === 'error')) return { settings: undefined, issues };
  const settings = nest(values);
  for (const fault of checkSettings(settings)) {
    issues.push(describe(fault.key, sources.get(fault.key) ?? { kind: 'default' }, inFile, fault));
  }
  if (issues.some((issue) => issue.severity === 'error')) return { settings: undefined, issues };
  return { settings, sources, issues };
}

function find(
  row: SettingRow,
  from: Pick<SettingsInput, 'flags' | 'env'> & { inFile: SettingsInFile | undefined; onCluster: boolean },
): { written: Written | undefined; source: SettingSource } {
  const flag = from.flags[row.flag];
  if (flag !== undefined) {
    const written = typeof flag === 'object' ? flag : String(flag);
    return { written, source: { kind: 'flag', name: `--${row.flag}` } };
  }
  for (const name of row.variables) {
    const variable = from.env[name];
    if (variable !== undefined) return { written: variable, source: { kind: 'variable', name } };
  }
  const written = from.inFile?.written.get(row.key);
  const document = from.inFile?.document;
  if (written !== undefined && document !== undefined) {
    return { written, source: { kind: 'file', name: document.file ?? '', ...document.locate(row.key) } };
  }
  const { setting } = row;
  return {
    written: from.onCluster ? (setting.clusterDefault ?? setting.default) : setting.default,
    source: { kind: 'default' },
  };
}

/**
 * Relative paths of the file, and defaults beside it, stand in its folder: the command may be run from anywhere. All
 * others start from the folder that the command is run in.
 */
function placed(
  value: unknown,
  from: Pick<SettingsInput, 'file' | 'folder'> & { row: SettingRow; source: SettingSource; onCluster: boolean },
): unknown {
  const { row, source, onCluster, file, folder } = from;
  if (row.setting.type !== 'path' || typeof value !== 'string' || isAbsolute(value)) return value;
  const ofPod = onCluster && row.setting.clusterDefault !== undefined;
  const ofFile = source.kind === 'file' || (source.kind === 'default' && !ofPod);
  if (ofFile && file !== undefined) return join(dirname(file.name), value);
  return folder === undefined ? value : join(folder, value);
}

function refusal(written: Written | undefined, { expected }: Unreadable): { message: string; remedy: string } {
  const got = typeof written === 'string' ? JSON.stringify(written.slice(0, 64)) : 'a list';
  return { message: `${got} cannot be read`, remedy: `write ${expected}` };
}

function describe(
  key: string,
  source: SettingSource,
  inFile: SettingsInFile | undefined,
  { message, remedy }: { message: string; remedy: string },
): Issue {
  const issue = { severity: 'error', code: 'setting_invalid', message, remedy } as const;
  if (source.kind === 'flag' || source.kind === 'variable') return { ...issue, path: source.name };
  if (source.kind === 'file' && inFile?.document !== undefined)
    return placeIssue({ ...issue, path: key }, inFile.document);
  return { ...issue, path: key };
}

function unknownFlags(flags: SettingsInput['flags']): Issue[] {
  const known = SETTING_ROWS.map((row) => row.flag);
  return Object.keys(flags).flatMap((flag): Issue[] => {
    if (known.includes(flag) || flags[flag] === undefined) return [];
    const remedy = suggestWord(flag, known, 'see --help for the flags of this command');
    return [{ severity: 'error', code: 'setting_unknown', message: 'unknown flag', remedy, path: `--${flag}` }];
  });
}

/** A warning only: the environment belongs to others too, but a mistyped variable should not pass in silence. */
function unknownVariables(env: SettingsInput['env']): Issue[] {
  const known = SETTING_ROWS.flatMap((row) => row.variables);
  return Object.keys(env).flatMap((name): Issue[] => {
    if (!name.startsWith(VARIABLE_PREFIX) || known.includes(name) || SERVICE_LINK.test(name)) return [];
    const nearest = nearestWord(name, known);
    const remedy = nearest === undefined ? 'see the reference page of settings' : `did you mean ${nearest}?`;
    return [{ severity: 'warning', code: 'setting_unknown', message: 'unknown variable', remedy, path: name }];
  });
}

function nest(values: ReadonlyMap<string, unknown>): Settings {
  const root: Record<string, unknown> = {};
  const groups: Record<string, unknown>[] = [root];
  for (const { key, steps } of SETTING_ROWS) {
    let group = root;
    for (const step of steps.slice(0, -1)) {
      const existing = group[step];
      const next = (existing ?? {}) as Record<string, unknown>;
      if (existing === undefined) groups.push(next);
      group[step] = next;
      group = next;
    }
    group[steps.at(-1) ?? ''] = values.get(key);
  }
  for (const group of groups) Object.freeze(group);
  // Every row of the table was read by its own reader just now, so this is the shape that the table says.
  return root as Settings;
}
