import type { Issue } from '../core/issue.ts';
import { reasonToPass, type AppliedPolicy, type PassedPolicy, type PolicyScope } from './applied-policy.ts';
import type { Action, AuthorizationPolicy } from './authorization-policy.ts';
import { compileRule, type Protocol } from './compiled-rule.ts';
import { ConnectionDecision, type Programs } from './connection-decision.ts';
import { explain, type Explanation } from './explain.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { createRuleProgram } from './rule-program.ts';
import { ruleStatus } from './rule-status.ts';
import type { TrustDomains } from './trust-domain-aliases.ts';

export interface CompileOptions extends PolicyScope {
  /** Any; those that do not apply to the workload are left out. */
  readonly policies: readonly AuthorizationPolicy[];
  readonly trustDomains: TrustDomains;
  /** What the listener speaks: on `tcp` nothing of HTTP can be told. */
  readonly protocol: Protocol;
}

/** The policies of one listener of one workload, ready to decide. */
export interface CompiledPolicies {
  readonly applied: readonly AppliedPolicy[];
  /** What this listener makes of rules that it cannot judge in full. All are warnings. */
  readonly issues: readonly Issue[];
  /** Whether there are dry runs, and AUDIT rules, to be asked. */
  readonly dryRuns: boolean;
  readonly audits: boolean;
  forConnection(facts: ConnectionFacts): ConnectionDecision;
  /** The whole story, slowly. On TCP without a request. */
  explain(connection: ConnectionFacts, request?: RequestFacts): Explanation;
}

/** Compiles the policies that apply to a workload, once per change; see `ConnectionDecision` for what is asked then. */
export function compilePolicies(options: CompileOptions): CompiledPolicies {
  const { policies, protocol, trustDomains } = options;
  const judged = policies.map((policy) => ({ policy, reason: reasonToPass(policy, options) }));
  const applied = judged
    .filter(({ reason }) => reason === undefined)
    .map(({ policy }): AppliedPolicy => {
      const context = { namespace: policy.namespace, trustDomains };
      return { policy, rules: policy.rules.map((rule) => compileRule(policy, rule, { protocol, context })) };
    });
  const passed = judged.flatMap(({ policy: { namespace, name }, reason }): PassedPolicy[] =>
    reason === undefined ? [] : [{ policy: { namespace, name }, reason }],
  );
  const programs = programsOf(applied);
  const onTcp = (facts: ConnectionFacts): ConnectionFacts =>
    // Without HTTP nobody can name another client than the peer itself.
    protocol === 'tcp' && facts.remoteIp === 'per-request' ? { ...facts, remoteIp: facts.sourceIp } : facts;
  return Object.freeze({
    applied,
    issues: Object.freeze(
      applied.flatMap(({ policy, rules }) => rules.flatMap((rule) => ruleStatus(policy, rule, protocol))),
    ),
    dryRuns: programs.dryAllowing || programs.dryDeny.rules.length > 0,
    audits: programs.audit.rules.length > 0,
    forConnection: (facts: ConnectionFacts) => new ConnectionDecision(programs, onTcp(facts)),
    explain: (connection: ConnectionFacts, request?: RequestFacts) =>
      explain({ applied, passed, connection: onTcp(connection), request }),
  });
}

function programsOf(applied: readonly AppliedPolicy[]): Programs {
  const of = (action: Action, dryRun: boolean): readonly AppliedPolicy[] =>
    applied.filter(({ policy }) => policy.action === action && policy.dryRun === dryRun);
  const program = (action: Action, dryRun = false): Programs['deny'] =>
    createRuleProgram(of(action, dryRun).flatMap(({ rules }) => rules));
  const customs = Map.groupBy(of('CUSTOM', false), ({ policy }) => policy.provider ?? '');
  const providers = [...customs].map(([provider, policies]) => ({
    provider,
    program: createRuleProgram(policies.flatMap(({ rules }) => rules)),
  }));
  return Object.freeze({
    custom: program('CUSTOM'),
    providers: Object.freeze(providers.toSorted((a, b) => (a.provider < b.provider ? -1 : 1))),
    deny: program('DENY'),
    allow: program('ALLOW'),
    audit: program('AUDIT'),
    dryDeny: program('DENY', true),
    dryAllow: program('ALLOW', true),
    allowing: of('ALLOW', false).length > 0,
    dryAllowing: of('ALLOW', true).length > 0,
  });
}
