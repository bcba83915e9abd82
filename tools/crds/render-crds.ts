import { stringifyYaml } from '../../src/config/stringify-yaml.ts';
import { definitionOf, type KindContent } from './definition.ts';
import { NETWORKING_KINDS } from './networking-kinds.ts';
import { SECURITY_KINDS } from './security-kinds.ts';

/** Every kind of ours that an API server is taught. */
export const CRD_KINDS: readonly KindContent[] = [...SECURITY_KINDS, ...NETWORKING_KINDS];

/** The files of `manifests/crds`, by their names. */
export function renderCrds(): ReadonlyMap<string, string> {
  return new Map(
    CRD_KINDS.map((content) => {
      // A copy in which nothing is shared: not every program that reads manifests knows YAML's anchors.
      const definition: unknown = JSON.parse(JSON.stringify(definitionOf(content)));
      const head = '# Generated from tools/crds by tools/write-crds.ts; a test compares the two.\n';
      return [`${content.kind.toLowerCase()}.yaml`, head + stringifyYaml(definition)];
    }),
  );
}
