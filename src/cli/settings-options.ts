import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { resolveSettings, type FlagValue } from '../config/resolve-settings.ts';
import type { SettingCommand } from '../config/setting.ts';
import { SETTING_ROWS } from '../config/settings-rows.ts';
import type { Settings } from '../config/settings-table.ts';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import { formatIssue } from '../core/issue.ts';
import type { CommandContext } from './command.ts';

/** The settings file that is read where none is named, from the folder the command is run in. */
const SETTINGS_FILE = 'sealwright.yaml';

/** Gives a command one option for each setting of its process, and `--config` for the file that holds the rest. */
export function addSettingsOptions(command: Command, process: SettingCommand): void {
  addConfigOption(command);
  for (const { flag, setting } of SETTING_ROWS) {
    if (!setting.commands.includes(process)) continue;
    // Types are written as the reference page has them: `json | text` for a choice.
    const choice = setting.type.includes(' | ') ? ` One of ${setting.type.replaceAll(' | ', ', ')}.` : '';
    const initial = setting.default === undefined || setting.default === '' ? '' : ` (${setting.default})`;
    // A truth may be named alone.
    const value = setting.type === 'boolean' ? '[value]' : '<value>';
    command.option(`--${flag} ${value}`, `${setting.purpose}${choice}${initial}`);
  }
}

/** For commands that speak to the CA as an operator: on its own machine by its state folder, else over TLS. */
export function addOperatorOptions(command: Command): void {
  addConfigOption(command);
  command.option('--ca-state <folder>', "the CA's state folder, which holds its operator socket");
  command.option('--operator-address <host:port>', 'the operator API over TLS instead, such as localhost:15016');
  command.option('--ca-root <file>', 'PEM roots that it is verified with (the root-cert.pem of the state folder)');
  command.option('--ca-name <name>', 'the DNS name that its certificate must hold, where it is not the host');
  command.option(
    '--token-file <file>',
    'a token that "kubectl create token ACCOUNT --audience sealwright-operator" printed',
  );
  command.option(
    '--certificate <file>',
    'instead of a token, the certificate of a listed identity, its chain after it',
  );
  command.option('--key <file>', 'the private key of that certificate');
}

/** For commands that work on the folder of resources. */
export function addResourcesOptions(command: Command): void {
  addConfigOption(command);
  command.option('--resources <folder>', 'the folder of resources (as the settings say, else resources)');
  command.option('--root-namespace <name>', 'where policies for the whole mesh live (as the settings say)');
}

function addConfigOption(command: Command): void {
  command.option('--config <file>', `the settings file (${SETTINGS_FILE} in this folder, where there is one)`);
}

/**
 * The settings in force: flags beat `SEALWRIGHT_*` variables, which beat the file. Every path in them is absolute.
 *
 * @throws SealwrightError `settings_invalid` after every finding was written to stderr
 */
export function loadSettings(options: Readonly<Record<string, unknown>>, context: CommandContext): Settings {
  const { config, ...given } = options;
  const flags: Record<string, FlagValue> = {};
  for (const [name, value] of Object.entries(given)) {
    const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const written = typeof value === 'string' || value === true;
    if (written && SETTING_ROWS.some((row) => row.flag === flag)) flags[flag] = value;
  }
  const file = readSettingsFile(typeof config === 'string' ? config : undefined, context);
  const resolved = resolveSettings({ flags, env: context.env, file, folder: resolve(context.folder) });
  for (const issue of resolved.issues) context.stderr(`${formatIssue(issue)}\n`);
  if (resolved.settings === undefined) {
    const errors = resolved.issues.filter((issue) => issue.severity === 'error').length;
    throw new SealwrightError('settings_invalid', { errors });
  }
  return resolved.settings;
}

function readSettingsFile(
  named: string | undefined,
  context: CommandContext,
): { name: string; text: string } | undefined {
  const name = resolve(context.folder, named ?? SETTINGS_FILE);
  if (named === undefined && !existsSync(name)) return undefined;
  try {
    return { name, text: readFileSync(name, 'utf8') };
  } catch (error) {
    throw new SealwrightError('settings_unreadable', { file: name, reason: reasonOf(error) }, { cause: error });
  }
}
