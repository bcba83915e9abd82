import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { CompiledPolicies, CompileScope, PolicyChange } from './compiled-policies.ts';
import { PolicySet } from './policy-set.ts';
import { atOnce } from './slices.ts';

export type { CompiledPolicies, CompileScope, PolicyChange } from './compiled-policies.ts';

export interface CompileOptions extends CompileScope {
  /** Any; those that do not apply to the workload are left out. */
  readonly policies: readonly AuthorizationPolicy[];
}

/** Compiles the policies that apply to a workload at once; see `ConnectionDecision` for what is asked then. */
export function compilePolicies(options: CompileOptions): CompiledPolicies {
  return atOnce(compileInSlices(options));
}

/** The same, pausing where others may have a turn: several times in a millisecond. */
export function compileInSlices(options: CompileOptions): Generator<undefined, CompiledPolicies> {
  const { policies } = options;
  return PolicySet.empty(scopeOf(options)).changed({ removed: [], added: policies }, policies);
}

/**
 * What comes of compiled policies by a change: what did not change is shared, not compiled again. `policies` are those
 * afterwards. Pauses as `compileInSlices` does.
 */
export function recompileInSlices(
  before: CompiledPolicies,
  change: PolicyChange,
  policies: readonly AuthorizationPolicy[],
): Generator<undefined, CompiledPolicies> {
  return before instanceof PolicySet
    ? before.changed(change, policies)
    : compileInSlices({ ...before.scope, policies });
}

function scopeOf({ workload, rootNamespace, trustDomains, protocol }: CompileScope): CompileScope {
  return Object.freeze({ workload, rootNamespace, trustDomains, protocol });
}
