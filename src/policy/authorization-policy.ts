import type { ConditionKey } from './condition-key.ts';
import type { Position, ResourceName } from './resource-document.ts';
import type { TargetReference } from './target-references.ts';
import type { WorkloadSelector } from './workload-selector.ts';

export const ACTIONS = ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM'] as const;
export type Action = (typeof ACTIONS)[number];

/** The lists of a source that have a `not` form beside them. */
export const SOURCE_FIELDS = [
  'principals',
  'requestPrincipals',
  'namespaces',
  'ipBlocks',
  'remoteIpBlocks',
  'serviceAccounts',
  'trustDomains',
] as const;
export type SourceField = (typeof SOURCE_FIELDS)[number];

/** The lists of an operation that have a `not` form beside them. */
export const OPERATION_FIELDS = ['hosts', 'ports', 'methods', 'paths'] as const;
export type OperationField = (typeof OPERATION_FIELDS)[number];

/** One list that a rule compares something with: all that stand in one source, operation or `when` must hold. */
export interface Condition {
  /** Where it stands below the rule, such as `from[0].source.notPrincipals` or `when[1].values`. */
  readonly field: string;
  readonly attribute: ConditionAttribute;
  /** The texts as written, none empty; at least one. */
  readonly values: readonly string[];
  /** Holds when none of the values matches. */
  readonly negated: boolean;
}

export type ConditionAttribute =
  | ConditionKey
  | { readonly name: 'request.host' }
  | { readonly name: 'request.method' }
  | { readonly name: 'request.path' };

export interface Rule {
  /** The rule's place in the policy, counted from 0. */
  readonly index: number;
  /** One source each; any may match. Empty matches everybody. */
  readonly from: readonly (readonly Condition[])[];
  /** One operation each; any may match. Empty matches everything. */
  readonly to: readonly (readonly Condition[])[];
  /** All must match. */
  readonly when: readonly Condition[];
  readonly position: Position | undefined;
}

/** An AuthorizationPolicy that passed validation. */
export interface AuthorizationPolicy extends ResourceName {
  readonly file: string | undefined;
  readonly action: Action;
  /** The extension provider of a CUSTOM policy. */
  readonly provider: string | undefined;
  readonly selector: WorkloadSelector;
  readonly targets: readonly TargetReference[];
  readonly rules: readonly Rule[];
  /** Judged, told and not enforced. */
  readonly dryRun: boolean;
}
