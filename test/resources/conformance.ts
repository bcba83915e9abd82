import { readFileSync } from 'node:fs';
import { parseYaml } from '../../src/config/yaml-document.ts';
import { readResources, type FileReading } from '../../src/resources/read-file.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';
import { conformance } from '../fakes/conformance.ts';

/** What a store checks beyond the shape of resources. */
export const VALIDATORS = policyValidators({ rootNamespace: 'sealwright-system', strayRoot: 'error' });

export interface ValidationCase {
  readonly name: string;
  /** What Istio says of it; absent where Istio takes it. */
  readonly refusal: string | undefined;
  readonly reading: FileReading;
}

/** The text of one of Istio's own files; nothing where the data is absent, which is said, and fails in CI. */
export function validationText(file: string): string | undefined {
  const path = conformance(`istio-validation/${file}`);
  return path === undefined ? undefined : readFileSync(path, 'utf8');
}

/** The cases of one file, read by us; nothing where the data is not there. */
export function validationCases(file: string): ValidationCase[] | undefined {
  const text = validationText(file);
  if (text === undefined) return undefined;
  return parseYaml(text).documents.map(({ value }) => {
    const { _err, ...resource } = value as { _err?: string; metadata: { name: string } };
    const reading = readResources(JSON.stringify(resource), { file, validators: VALIDATORS, createdAt: () => 0 });
    return { name: resource.metadata.name, refusal: _err, reading };
  });
}
