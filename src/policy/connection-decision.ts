import type { ConnectionFacts, RequestFacts } from './facts.ts';
import type { CompiledRule } from './compiled-rule.ts';
import { BoundProgram, type RuleProgram } from './rule-program.ts';
import { NO_ALLOW_MATCHED, NO_POLICY, type RuleReference, type Verdict } from './verdict.ts';

/** The compiled rules of a workload's listener, by what is done with them. */
export interface Programs {
  readonly custom: RuleProgram;
  readonly deny: RuleProgram;
  readonly allow: RuleProgram;
  readonly audit: RuleProgram;
  /** Dry runs. */
  readonly dryDeny: RuleProgram;
  readonly dryAllow: RuleProgram;
}

/** What dry runs would have done. */
export interface ShadowVerdict {
  /** As Envoy's shadow rules have them, each action by itself. */
  readonly deny: RuleReference | undefined;
  readonly allow: RuleReference | undefined;
  /** The whole verdict if every dry run were enforced. */
  readonly verdict: Verdict;
}

/** The policies of one listener on one connection. Everything that the connection settles is settled here. */
export class ConnectionDecision {
  /** The verdict where no request can change it; always there on a TCP listener. */
  readonly constant: Verdict | undefined;
  readonly #programs: Programs;
  readonly #facts: ConnectionFacts;
  readonly #custom: BoundProgram;
  readonly #deny: BoundProgram;
  readonly #allow: BoundProgram;
  #lazy: Readonly<Record<'audit' | 'dryDeny' | 'dryAllow', BoundProgram>> | undefined;

  constructor(programs: Programs, facts: ConnectionFacts) {
    this.#programs = programs;
    this.#facts = facts;
    this.#custom = new BoundProgram(programs.custom, facts);
    this.#deny = new BoundProgram(programs.deny, facts);
    this.#allow = new BoundProgram(programs.allow, facts);
    this.constant = this.#settled();
  }

  /** CUSTOM that denies, then DENY, then ALLOW (Istio's order). Allocates nothing. */
  decide(request: RequestFacts): Verdict {
    if (this.constant !== undefined) return this.constant;
    const refused = this.#custom.first(request) ?? this.#deny.first(request);
    if (refused !== undefined) return refused.verdict;
    if (this.#programs.allow.policies === 0) return NO_POLICY;
    return verdictOf(this.#allow.first(request));
  }

  /** The first AUDIT rule that matches: the request is to be logged. For TCP, without a request. */
  audit(request: RequestFacts | undefined): RuleReference | undefined {
    return firstOf(this.#bindLazily().audit, request)?.verdict.matched;
  }

  /** What dry runs would have done, beside what was done. Nothing where there are none. */
  shadow(request: RequestFacts | undefined): ShadowVerdict | undefined {
    const { dryDeny, dryAllow, allow } = this.#programs;
    if (dryDeny.rules === 0 && dryAllow.policies === 0) return undefined;
    const bound = this.#bindLazily();
    const denied = firstOf(bound.dryDeny, request);
    const allowed = firstOf(bound.dryAllow, request);
    const enforced = request === undefined ? this.constant : this.decide(request);
    const verdict = ((): Verdict => {
      const refused = enforced !== undefined && !enforced.allow && enforced !== NO_ALLOW_MATCHED;
      if (refused) return enforced;
      if (denied !== undefined) return denied.verdict;
      if (allow.policies === 0 && dryAllow.policies === 0) return NO_POLICY;
      return verdictOf(firstOf(this.#allow, request) ?? allowed);
    })();
    return Object.freeze({ deny: denied?.verdict.matched, allow: allowed?.verdict.matched, verdict });
  }

  /** Off the hot path: bound when first asked. */
  #bindLazily(): Readonly<Record<'audit' | 'dryDeny' | 'dryAllow', BoundProgram>> {
    const { audit, dryDeny, dryAllow } = this.#programs;
    this.#lazy ??= {
      audit: new BoundProgram(audit, this.#facts),
      dryDeny: new BoundProgram(dryDeny, this.#facts),
      dryAllow: new BoundProgram(dryAllow, this.#facts),
    };
    return this.#lazy;
  }

  #settled(): Verdict | undefined {
    for (const bound of [this.#custom, this.#deny]) {
      if (!bound.settled) return undefined;
      if (bound.always !== undefined) return bound.always.verdict;
    }
    if (this.#programs.allow.policies === 0) return NO_POLICY;
    return this.#allow.settled ? verdictOf(this.#allow.always) : undefined;
  }
}

/** Nothing is an ALLOW program in which nothing matched. */
function verdictOf(rule: CompiledRule | undefined): Verdict {
  return rule === undefined ? NO_ALLOW_MATCHED : rule.verdict;
}

/** Without a request everything has been settled: a program that has not matched by now does not match. */
function firstOf(bound: BoundProgram, request: RequestFacts | undefined): CompiledRule | undefined {
  return request === undefined ? bound.always : bound.first(request);
}
