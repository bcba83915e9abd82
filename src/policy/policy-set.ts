import type { Issue } from '../core/issue.ts';
import { reasonToPass, type PassedPolicy } from './applied-policy.ts';
import { askedFields, countAsked, type AskedCounts, type AskedFields } from './asked-fields.ts';
import type { Action, AuthorizationPolicy } from './authorization-policy.ts';
import type { CompiledPolicies, CompileScope, PolicyChange } from './compiled-policies.ts';
import { CompiledPolicy } from './compiled-policy.ts';
import type { CompiledRule } from './compiled-rule.ts';
import { ConnectionDecision, type Programs } from './connection-decision.ts';
import { explainBriefly, type BriefExplanation } from './explain-briefly.ts';
import { explainInSlices, type Explanation } from './explain.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { keysOfIdentity } from './identity-anchors.ts';
import { InternedConditions } from './interned-conditions.ts';
import type { RuleScope } from './policy-context.ts';
import { ProgramChange } from './program-change.ts';
import { NO_RULES } from './rule-program.ts';
import { ASKS_MORE, HEAVY, surveyOf, untoldOn } from './rule-survey.ts';
import { ruleStatus } from './rule-status.ts';
import { atOnce } from './slices.ts';
import type { RuleReference, Verdict } from './verdict.ts';

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
  readonly asked: AskedCounts;
  /** With what rules are compiled; the same for all sets of one scope. */
  readonly rules: RuleScope;
  /** Of policies that apply; shared by all sets of one scope, of which a policy is the same in each. */
  readonly compiled: WeakMap<AuthorizationPolicy, CompiledPolicy>;
}

/** On TCP. */
const NO_REQUEST = { path: '', host: undefined };
/** So many rules are all looked at, in the order of their policies. */
const FEW = 256;
/** So many rules are some tens of microseconds. */
const PAUSE = 64;

/** The policies of one listener. */
export class PolicySet implements CompiledPolicies {
  readonly #parts: PolicySetParts;
  #applied: readonly CompiledPolicy[] | undefined;
  #issues: readonly Issue[] | undefined;
  #asked: AskedFields | undefined;

  private constructor(parts: PolicySetParts) {
    this.#parts = parts;
  }

  static empty(scope: CompileScope): PolicySet {
    const { protocol, trustDomains } = scope;
    return new PolicySet({
      scope,
      policies: [],
      programs: NOTHING,
      asked: new Map(),
      rules: { protocol, trustDomains, conditions: new InternedConditions() },
      compiled: new WeakMap(),
    });
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

  get asked(): AskedFields {
    this.#asked ??= askedFields(this.#parts.asked);
    return this.#asked;
  }

  /** Off the hot path: listed when first asked for. */
  get applied(): readonly CompiledPolicy[] {
    this.#applied ??= Object.freeze(
      this.#parts.policies.flatMap((policy) =>
        this.#reasonToPass(policy) === undefined ? [this.#compiledOf(policy)] : [],
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
    return atOnce(this.explainInSlices(connection, request));
  }

  explainInSlices(connection: ConnectionFacts, request?: RequestFacts): Generator<undefined, Explanation> {
    const passed = this.#parts.policies.flatMap((policy): PassedPolicy[] => {
      const reason = this.#reasonToPass(policy);
      const { namespace, name } = policy;
      return reason === undefined ? [] : [{ policy: { namespace, name }, reason }];
    });
    return explainInSlices({ applied: this.applied, passed, connection: this.#known(connection), request });
  }

  explainBriefly(verdict: Verdict, connection: ConnectionFacts, request?: RequestFacts): BriefExplanation {
    const { matched } = verdict;
    const rules = matched === undefined ? this.#nearest(connection, request) : this.#named(matched);
    return explainBriefly(verdict, rules, { connection: this.#known(connection), request });
  }

  *changed(
    { removed, added }: PolicyChange,
    policies: readonly AuthorizationPolicy[],
  ): Generator<undefined, CompiledPolicies> {
    const change = new ProgramChange(this.#parts.programs);
    const asked = new Map(this.#parts.asked);
    const untold = untoldOn(this.#parts.scope.protocol);
    let handled = 0;
    for (const adds of [false, true]) {
      for (const policy of adds ? added : removed) {
        if ((handled += 1) % PAUSE === 0) yield;
        if (this.#reasonToPass(policy) !== undefined) continue;
        const program = change.of(programOf(policy), policy, adds);
        const survey = yield* surveyOf(policy);
        // Istio drops an ALLOW rule that cannot be told in full.
        const dropped = policy.action === 'ALLOW' ? untold : 0;
        if ((survey.all & dropped) !== 0 && (survey.any & ASKS_MORE) === 0) continue;
        const compiled = this.#compiledOf(policy);
        for (let index = 0; index < survey.rules.length; index += 1) {
          const seen = survey.rules[index] ?? 0;
          const rule = policy.rules[index];
          if ((seen & ASKS_MORE) !== 0 && rule !== undefined) countAsked(asked, rule, adds ? 1 : -1);
          const toAsk = (seen & dropped) === 0 && program !== undefined ? compiled.rule(index) : undefined;
          if (toAsk !== undefined && adds) program?.add(toAsk, (seen & HEAVY) !== 0);
          else if (toAsk !== undefined) program?.remove(toAsk);
          // Also within a policy: one may have thousands.
          if ((handled += 1) % PAUSE === 0) yield;
        }
      }
    }
    return new PolicySet({ ...this.#parts, policies, asked, programs: yield* change.finished() });
  }

  /** ALLOW rules, those first that were nearest to matching. */
  *#nearest({ identity }: ConnectionFacts, request: RequestFacts | undefined): Generator<CompiledRule, void> {
    const { programs, policies } = this.#parts;
    if (programs.allow.rules > FEW) {
      const keys = identity === undefined ? [] : keysOfIdentity(identity);
      // What is for this caller by name before what is for anybody.
      for (const shelf of programs.allow.index.shelvesFor(keys).toReversed()) yield* shelf.near(request ?? NO_REQUEST);
    }
    for (const policy of policies) {
      if (programOf(policy) !== 'allow' || this.#reasonToPass(policy) !== undefined) continue;
      yield* this.#compiledOf(policy).rules;
    }
  }

  *#named({ policy: { namespace, name }, rule, action }: RuleReference): Generator<CompiledRule, void> {
    for (const policy of this.#parts.policies) {
      if (policy.name !== name || policy.namespace !== namespace || policy.action !== action) continue;
      const named = this.#reasonToPass(policy) === undefined ? this.#compiledOf(policy).rule(rule) : undefined;
      if (named !== undefined) yield named;
    }
  }

  #reasonToPass(policy: AuthorizationPolicy): PassedPolicy['reason'] | undefined {
    return reasonToPass(policy, this.#parts.scope);
  }

  #compiledOf(policy: AuthorizationPolicy): CompiledPolicy {
    const { compiled, rules } = this.#parts;
    let known = compiled.get(policy);
    if (known === undefined) compiled.set(policy, (known = new CompiledPolicy(policy, rules)));
    return known;
  }

  #known(facts: ConnectionFacts): ConnectionFacts {
    // Without HTTP nobody can name another client than the peer itself.
    return this.#parts.scope.protocol === 'tcp' && facts.remoteIp === 'per-request'
      ? { ...facts, remoteIp: facts.sourceIp }
      : facts;
  }
}
