import type { ConfigParts } from './create-config.ts';

const FIELDS = [
  'workload',
  'authorizationPolicies',
  'peerAuthentications',
  'requestAuthentications',
  'keySets',
  'sidecars',
  'destinationRules',
  'meshes',
  'rootsPem',
] as const satisfies readonly (keyof ConfigParts)[];

/** Whether every part is known: some may be known to be empty. */
export function isComplete(parts: Partial<ConfigParts>): parts is ConfigParts {
  return FIELDS.every((field) => parts[field] !== undefined);
}

export function areSame(one: ConfigParts, other: ConfigParts): boolean {
  return FIELDS.every((field) => one[field] === other[field]);
}

/**
 * Parts of now beside policies, and what those were compiled for, of another moment: the labels, the names of the mesh,
 * and listeners, which are made of the workload. Both moments were found to be good, and so nothing here is refused.
 */
export function besidePolicies(
  parts: ConfigParts,
  { authorizationPolicies, workload, meshes, sidecars }: ConfigParts,
): ConfigParts {
  return { ...parts, authorizationPolicies, workload, meshes, sidecars };
}
