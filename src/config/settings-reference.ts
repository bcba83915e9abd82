import { SETTING_ROWS, type SettingRow } from './settings-rows.ts';

const HEAD = `# Settings

Generated from \`src/config/settings-table.ts\` by \`tools/write-settings-reference.ts\`; a test compares the two.

A flag beats a variable, a variable beats the settings file, and the file beats the default.
The file is one YAML document whose fields are the keys below, nested at the dots; its name is given by \`--config\`.
A relative path of the file, and a default path, stands beside the file; one of a flag or variable, in the working folder.
Lists are written as YAML lists in the file, and separated by commas elsewhere.
Durations are numbers with units: \`250ms\`, \`90s\`, \`15m\`, \`24h\`, \`1h30m\`.
`;

/** The text of `docs/reference/settings.md`. */
export function renderSettingsReference(): string {
  const sections = [
    ['Both', SETTING_ROWS.filter((row) => row.setting.commands.length > 1)],
    ['The CA', SETTING_ROWS.filter((row) => row.setting.commands.join() === 'ca')],
    ['The sidecar', SETTING_ROWS.filter((row) => row.setting.commands.join() === 'proxy')],
  ] as const;
  return `${HEAD}${sections.map(([title, rows]) => `\n## ${title}\n${rows.map(renderRow).join('')}`).join('')}`;
}

function renderRow({ key, flag, variables, setting }: SettingRow): string {
  const fallback = setting.default === undefined ? 'none' : setting.default === '' ? 'empty' : `\`${setting.default}\``;
  const onCluster = setting.clusterDefault === undefined ? '' : `; in a pod \`${setting.clusterDefault}\``;
  return `
### \`${key}\`

${setting.purpose}

- Type: ${setting.type}
- Default: ${fallback}${onCluster}
- Flag: \`--${flag}\`
- Variable: ${variables.map((name) => `\`${name}\``).join(', then ')}
`;
}
