import { stringify } from 'yaml';

/** A value as a YAML document for a person to read; long texts stay on one line, so that they can be copied. */
export function stringifyYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
