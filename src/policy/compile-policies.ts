import type { Issue } from '../core/issue.ts';
import { reasonToPass, type AppliedPolicy, type PassedPolicy, type PolicyScope } from './applied-policy.ts';
import type { Action, AuthorizationPolicy } from './authorization-policy.ts';
import { CompiledRule, type Protocol } from './compiled-rule.ts';
import { ConnectionDecision, type Programs } from './connection-decision.ts';
import { explain, type Explanation } from './explain.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { NO_RULES, type RuleProgram } from './rule-program.ts';
import { ruleStatus } from './rule-status.ts';
import type { TrustDomains } from './trust-domain-aliases.ts';

/** Which listener of which workload policies are compiled for. */
export interface CompileScope extends PolicyScope {
  readonly trustDomains: TrustDomains;
  /** What the listener speaks: on `tcp` nothing of HTTP can be told. */
  readonly protocol: Protocol;
}

export interface CompileOptions extends CompileScope {
  /** Any; those that do not apply to the workload are left out. */
  readonly policies: readonly AuthorizationPolicy[];
}

/** From one set of policies to the next; a policy that changed is another object, and stands in both lists. */
export interface PolicyChange {
  readonly removed: readonly AuthorizationPolicy[];
  readonly added: readonly AuthorizationPolicy[];
}

/** The policies of one listener of one workload, ready to decide. Nobody changes it: a change makes another one. */
export interface CompiledPolicies {
  readonly scope: CompileScope;
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

/** Compiles the policies that apply to a workload at once; see `ConnectionDecision` for what is asked then. */
export function compilePolicies(options: CompileOptions): CompiledPolicies {
  return atOnce(compileInSlices(options));
}

/** The same, pausing where others may have a turn: several times in a millisecond. */
export function compileInSlices(options: CompileOptions): Generator<undefined, CompiledPolicies> {
  const { policies } = options;
  const empty = new PolicySet({ scope: scopeOf(options), policies: [], programs: NOTHING, rulesOf: new WeakMap() });
  return empty.changed({ removed: [], added: policies }, policies);
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

/** Runs to the end without a pause. */
export function atOnce<Result>(slices: Generator<undefined, Result>): Result {
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}

function scopeOf({ workload, rootNamespace, trustDomains, protocol }: CompileScope): CompileScope {
  return Object.freeze({ workload, rootNamespace, trustDomains, protocol });
}

const NOTHING: Programs = Object.freeze({
  custom: NO_RULES,
  providers: new Map(),
  deny: NO_RULES,
  allow: NO_RULES,
  audit: NO_RULES,
  dryDeny: NO_RULES,
  dryAllow: NO_RULES,
});

type ProgramName = Exclude<keyof Programs, 'providers'>;

/** Nothing for what is neither enforced nor told: validation refuses those dry runs. */
function programOf({ action, dryRun }: AuthorizationPolicy): ProgramName | undefined {
  if (dryRun) return action === 'ALLOW' ? 'dryAllow' : action === 'DENY' ? 'dryDeny' : undefined;
  return ENFORCED[action];
}

const ENFORCED: Readonly<Record<Action, ProgramName>> = {
  ALLOW: 'allow',
  DENY: 'deny',
  AUDIT: 'audit',
  CUSTOM: 'custom',
};

interface PolicySetParts {
  readonly scope: CompileScope;
  readonly policies: readonly AuthorizationPolicy[];
  readonly programs: Programs;
  /** Of policies that apply; shared by all sets of one scope, of which a policy is the same in each. */
  readonly rulesOf: WeakMap<AuthorizationPolicy, readonly CompiledRule[]>;
}

interface Delta {
  readonly removed: CompiledRule[];
  readonly added: CompiledRule[];
  policies: number;
}

function note<Name>(deltas: Map<Name, Delta>, name: Name, sign: 1 | -1, rules: readonly CompiledRule[]): void {
  let delta = deltas.get(name);
  if (delta === undefined) deltas.set(name, (delta = { removed: [], added: [], policies: 0 }));
  delta.policies += sign;
  const list = sign === 1 ? delta.added : delta.removed;
  for (const rule of rules) list.push(rule);
}

function* changedProgram(
  { index, policies, rules }: RuleProgram,
  { removed, added, policies: more }: Delta,
): Generator<undefined, RuleProgram> {
  return Object.freeze({
    index: yield* index.changed(removed, added),
    policies: policies + more,
    rules: rules + added.length - removed.length,
  });
}

/** So many policies and rules are well below a millisecond. */
const PAUSE = 128;

class PolicySet implements CompiledPolicies {
  readonly #parts: PolicySetParts;
  #applied: readonly AppliedPolicy[] | undefined;
  #issues: readonly Issue[] | undefined;

  constructor(parts: PolicySetParts) {
    this.#parts = parts;
  }

  get scope(): CompileScope {
    return this.#parts.scope;
  }

  get dryRuns(): boolean {
    const { dryAllow, dryDeny } = this.#parts.programs;
    return dryAllow.policies > 0 || dryDeny.rules > 0;
  }

  get audits(): boolean {
    return this.#parts.programs.audit.rules > 0;
  }

  /** Off the hot path: listed when first asked for. */
  get applied(): readonly AppliedPolicy[] {
    this.#applied ??= Object.freeze(
      this.#parts.policies.flatMap((policy): AppliedPolicy[] =>
        this.#reasonToPass(policy) === undefined ? [{ policy, rules: this.#rulesOf(policy) }] : [],
      ),
    );
    return this.#applied;
  }

  get issues(): readonly Issue[] {
    this.#issues ??= Object.freeze(
      this.applied.flatMap(({ policy, rules }) =>
        rules.flatMap((rule) => ruleStatus(policy, rule, this.#parts.scope.protocol)),
      ),
    );
    return this.#issues;
  }

  forConnection(facts: ConnectionFacts): ConnectionDecision {
    return new ConnectionDecision(this.#parts.programs, this.#known(facts));
  }

  explain(connection: ConnectionFacts, request?: RequestFacts): Explanation {
    const passed = this.#parts.policies.flatMap((policy): PassedPolicy[] => {
      const reason = this.#reasonToPass(policy);
      const { namespace, name } = policy;
      return reason === undefined ? [] : [{ policy: { namespace, name }, reason }];
    });
    return explain({ applied: this.applied, passed, connection: this.#known(connection), request });
  }

  *changed(
    { removed, added }: PolicyChange,
    policies: readonly AuthorizationPolicy[],
  ): Generator<undefined, CompiledPolicies> {
    const deltas = new Map<ProgramName, Delta>();
    const ofProviders = new Map<string, Delta>();
    let handled = 0;
    for (const [list, sign] of [
      [removed, -1],
      [added, 1],
    ] as const) {
      for (const policy of list) {
        handled += 1 + policy.rules.length;
        if (handled >= PAUSE) {
          handled = 0;
          yield;
        }
        const name = programOf(policy);
        if (name === undefined || this.#reasonToPass(policy) !== undefined) continue;
        const rules = this.#rulesOf(policy).filter(({ never }) => !never);
        note(deltas, name, sign, rules);
        if (name === 'custom') note(ofProviders, policy.provider ?? '', sign, rules);
      }
    }
    const programs: { -readonly [Name in keyof Programs]: Programs[Name] } = { ...this.#parts.programs };
    for (const [name, delta] of deltas) programs[name] = yield* changedProgram(programs[name], delta);
    if (ofProviders.size > 0) {
      const providers = new Map(programs.providers);
      for (const [provider, delta] of ofProviders) {
        providers.set(provider, yield* changedProgram(providers.get(provider) ?? NO_RULES, delta));
      }
      programs.providers = new Map(
        [...providers].filter(([, { policies: count }]) => count > 0).toSorted(([a], [b]) => (a < b ? -1 : 1)),
      );
    }
    return new PolicySet({ ...this.#parts, policies, programs: Object.freeze(programs) });
  }

  #reasonToPass(policy: AuthorizationPolicy): PassedPolicy['reason'] | undefined {
    return reasonToPass(policy, this.#parts.scope);
  }

  #rulesOf(policy: AuthorizationPolicy): readonly CompiledRule[] {
    const { rulesOf, scope } = this.#parts;
    let rules = rulesOf.get(policy);
    if (rules === undefined) {
      const { protocol, trustDomains } = scope;
      const context = { namespace: policy.namespace, trustDomains };
      rules = policy.rules.map((rule) => new CompiledRule(policy, rule, { protocol, context }));
      rulesOf.set(policy, rules);
    }
    return rules;
  }

  #known(facts: ConnectionFacts): ConnectionFacts {
    // Without HTTP nobody can name another client than the peer itself.
    return this.#parts.scope.protocol === 'tcp' && facts.remoteIp === 'per-request'
      ? { ...facts, remoteIp: facts.sourceIp }
      : facts;
  }
}
