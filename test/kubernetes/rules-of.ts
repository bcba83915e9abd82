import type { Right } from '../../tools/rbac/rights.ts';

/** A right, whose reason nobody asks for here. */
type Rule = Pick<Right, 'group' | 'resources' | 'verbs'> & { readonly names?: Right['names'] | undefined };

/** Rights as the rules of a Role or ClusterRole that a test makes itself. */
export function rulesOf(rights: readonly Rule[]): object[] {
  return rights.map(({ group, resources, names, verbs }) => ({
    apiGroups: [group],
    resources,
    verbs,
    ...(names === undefined ? {} : { resourceNames: names }),
  }));
}
