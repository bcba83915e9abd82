import type { Issue } from '../core/issue.ts';
import type { PolicyScope } from './applied-policy.ts';
import type { AskedFields } from './asked-fields.ts';
import type { Protocol } from './attribute-traits.ts';
import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { ConnectionDecision } from './connection-decision.ts';
import type { BriefExplanation } from './explain-briefly.ts';
import type { Explanation } from './explain.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import type { TrustDomains } from './trust-domain-aliases.ts';
import type { Verdict } from './verdict.ts';

/** Which listener of which workload policies are compiled for. */
export interface CompileScope extends PolicyScope {
  readonly trustDomains: TrustDomains;
  /** What the listener speaks: on `tcp` nothing of HTTP can be told. */
  readonly protocol: Protocol;
}

/** From one set of policies to the next; a policy that changed is another object, and stands in both lists. */
export interface PolicyChange {
  readonly removed: readonly AuthorizationPolicy[];
  readonly added: readonly AuthorizationPolicy[];
}

/** The policies of one listener of one workload, ready to decide. Nobody changes it: a change makes another one. */
export interface CompiledPolicies {
  readonly scope: CompileScope;
  /** Those that apply, each beside its rules. */
  readonly applied: readonly CompiledPolicy[];
  /** What this listener makes of rules that it cannot judge in full. All are warnings. */
  readonly issues: readonly Issue[];
  /** Whether there are dry runs, and AUDIT rules, to be asked. */
  readonly dryRuns: boolean;
  readonly audits: boolean;
  /** What they ask of a request beyond method, host and path. */
  readonly asked: AskedFields;
  forConnection(facts: ConnectionFacts): ConnectionDecision;
  /** The whole story, slowly. On TCP without a request. */
  explain(connection: ConnectionFacts, request?: RequestFacts): Explanation;
  /** The same, pausing as `compileInSlices` does. */
  explainInSlices(connection: ConnectionFacts, request?: RequestFacts): Generator<undefined, Explanation>;
  /** What a log tells of a decision: a millisecond, however many rules there are. */
  explainBriefly(verdict: Verdict, connection: ConnectionFacts, request?: RequestFacts): BriefExplanation;
}
