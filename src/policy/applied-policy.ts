import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { ResourceName } from './resource-document.ts';
import { selects } from './workload-selector.ts';

/** Whose policies are looked for. */
export interface PolicyScope {
  readonly workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  /** Where policies for the whole mesh live. */
  readonly rootNamespace: string;
}

/** A policy that does not apply, and why. */
export interface PassedPolicy {
  readonly policy: ResourceName;
  readonly reason: 'other-namespace' | 'selector' | 'attached-to-target';
}

/** Why a policy does not apply, or nothing. */
export function reasonToPass(
  policy: Pick<AuthorizationPolicy, 'targets' | 'namespace' | 'selector'>,
  { workload, rootNamespace }: PolicyScope,
): PassedPolicy['reason'] | undefined {
  // A sidecar enforces none of them (policyattachment.go); a waypoint or gateway does.
  if (policy.targets.length > 0) return 'attached-to-target';
  if (policy.namespace !== workload.namespace && policy.namespace !== rootNamespace) return 'other-namespace';
  return selects(policy.selector, workload.labels) ? undefined : 'selector';
}
