import type { Setting } from './setting.ts';
import { SETTINGS } from './settings-table.ts';

/** One setting with every name that it goes by. */
export interface SettingRow {
  /** In the file, such as `ca.tokenIssuer.enabled`. */
  readonly key: string;
  readonly steps: readonly string[];
  /** Without the two dashes, such as `ca-token-issuer-enabled`. */
  readonly flag: string;
  /** Such as `SEALWRIGHT_CA_TOKEN_ISSUER_ENABLED`, then those read besides; the first that is set counts. */
  readonly variables: readonly [string, ...string[]];
  readonly setting: Setting<unknown>;
}

/** What every variable of ours begins with. */
export const VARIABLE_PREFIX = 'SEALWRIGHT_';

/** The table as a list, in its order: for the command line's flags and the reference page. */
export const SETTING_ROWS: readonly SettingRow[] = Object.freeze(rowsOf(SETTINGS, []));

/** Groups and settings have nothing in common but that both are objects: a setting is what can read. */
export function isSetting(node: object): node is Setting<unknown> {
  return 'read' in node && typeof node.read === 'function';
}

function rowsOf(group: object, steps: readonly string[]): SettingRow[] {
  return Object.entries(group).flatMap(([name, node]: [string, object]) => {
    const here = [...steps, name];
    return isSetting(node) ? [rowOf(here, node)] : rowsOf(node, here);
  });
}

function rowOf(steps: readonly string[], setting: Setting<unknown>): SettingRow {
  // The sidecar's flags stand alone on its own command, so they do not repeat its name: `--workload`.
  const named = steps[0] === 'proxy' ? steps.slice(1) : steps;
  const flag = named.map((step) => step.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)).join('-');
  const variable = VARIABLE_PREFIX + flag.replaceAll('-', '_').toUpperCase();
  return Object.freeze({
    key: steps.join('.'),
    steps: Object.freeze(steps),
    flag,
    variables: Object.freeze([variable, ...setting.alsoVariables] as const),
    setting,
  });
}
