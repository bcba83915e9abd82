import { isDeepStrictEqual } from 'node:util';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import {
  compileInSlices,
  recompileInSlices,
  type CompiledPolicies,
  type CompileScope,
  type PolicyChange,
} from '../../src/policy/compile-policies.ts';
import type { SidecarPolicies } from './sidecar-config.ts';

/** By the names of their resources. Another map when something changed, and another policy where that changed. */
export type PolicyMap = ReadonlyMap<string, AuthorizationPolicy>;

/** For whom policies are compiled, for any way of speaking. */
export type SidecarPolicyScope = Omit<CompileScope, 'protocol'>;

/** Compiled policies, and what they were compiled of. */
export interface PolicyBase {
  readonly policies: SidecarPolicies;
  readonly of: PolicyMap;
}

/** How many policies would have to be compiled to come from the base to these. */
export function policiesToCompile(
  scope: SidecarPolicyScope,
  { authorizationPolicies }: { readonly authorizationPolicies: PolicyMap },
  base: PolicyBase | undefined,
): number {
  if (base === undefined || !isSameScope(scope, base)) return authorizationPolicies.size;
  if (base.of === authorizationPolicies) return 0;
  const { removed, added } = changeBetween(base.of, authorizationPolicies);
  return Math.max(removed.length, added.length);
}

/** Compiles what differs from the base, or everything where that was for another scope. Pauses several times a millisecond. */
export function* compileSidecarPolicies(
  scope: SidecarPolicyScope,
  { authorizationPolicies }: { readonly authorizationPolicies: PolicyMap },
  base: PolicyBase | undefined,
): Generator<undefined, PolicyBase> {
  const of = authorizationPolicies;
  if (base === undefined || !isSameScope(scope, base)) {
    const policies = [...of.values()];
    const http = yield* compileInSlices({ ...scope, protocol: 'http', policies });
    const tcp = yield* compileInSlices({ ...scope, protocol: 'tcp', policies });
    return { of, policies: Object.freeze({ http, tcp }) };
  }
  if (base.of === of) return base;
  const change = changeBetween(base.of, of);
  if (change.removed.length === 0 && change.added.length === 0) return { of, policies: base.policies };
  const policies = [...of.values()];
  const recompile = (before: CompiledPolicies): Generator<undefined, CompiledPolicies> =>
    recompileInSlices(before, change, policies);
  const http = yield* recompile(base.policies.http);
  const tcp = yield* recompile(base.policies.tcp);
  return { of, policies: Object.freeze({ http, tcp }) };
}

/** Whether what was compiled is for these. */
export function isSameScope(scope: SidecarPolicyScope, { policies }: PolicyBase): boolean {
  const { workload, rootNamespace, trustDomains } = policies.http.scope;
  return isDeepStrictEqual(scope, { workload, rootNamespace, trustDomains });
}

/**
 * By which change a map was made of another: to find that out of ten thousand policies costs more than to compile it.
 * The other is held weakly, else each would hold all that were before it.
 */
const origins = new WeakMap<PolicyMap, { readonly from: WeakRef<PolicyMap>; readonly change: PolicyChange }>();

/** Remembers that two maps differ under these names at most. */
export function rememberChange(from: PolicyMap, after: PolicyMap, names: Iterable<string>): void {
  const removed: AuthorizationPolicy[] = [];
  const added: AuthorizationPolicy[] = [];
  for (const name of new Set(names)) {
    const [was, is] = [from.get(name), after.get(name)];
    if (was === is) continue;
    if (was !== undefined) removed.push(was);
    if (is !== undefined) added.push(is);
  }
  origins.set(after, { from: new WeakRef(from), change: { removed, added } });
}

function changeBetween(before: PolicyMap, after: PolicyMap): PolicyChange {
  const origin = origins.get(after);
  if (origin?.from.deref() === before) return origin.change;
  const removed: AuthorizationPolicy[] = [];
  const added: AuthorizationPolicy[] = [];
  for (const [name, policy] of after) {
    if (before.get(name) !== policy) added.push(policy);
  }
  for (const [name, policy] of before) {
    if (after.get(name) !== policy) removed.push(policy);
  }
  return { removed, added };
}
