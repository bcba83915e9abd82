import type { ConnectionFacts, RequestFacts } from './facts.ts';
import type { CompiledRule } from './compiled-rule.ts';
import { keysOfIdentity, type Keys } from './identity-anchors.ts';
import { BoundProgram, type RuleProgram } from './rule-program.ts';
import { NO_ALLOW_MATCHED, NO_POLICY, type RuleReference, type Verdict } from './verdict.ts';

/** The compiled rules of a workload's listener, by what is done with them. */
export interface Programs {
  readonly custom: RuleProgram;
  /** The CUSTOM rules once more, those of each provider by themselves, in the order of the providers' names. */
  readonly providers: ReadonlyMap<string, RuleProgram>;
  readonly deny: RuleProgram;
  readonly allow: RuleProgram;
  readonly audit: RuleProgram;
  /** Dry runs. */
  readonly dryDeny: RuleProgram;
  readonly dryAllow: RuleProgram;
}

/** A CUSTOM rule that matched: its provider is to be asked. */
export interface CustomMatch {
  readonly provider: string;
  readonly rule: RuleReference;
  /** What follows where the provider cannot be asked. */
  readonly refusal: Verdict;
}

const NOBODY: readonly CustomMatch[] = Object.freeze([]);
const NO_KEYS: Keys = Object.freeze([]);

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
  /** The same for DENY and ALLOW alone, as they are judged once every provider has agreed. */
  readonly judged: Verdict | undefined;
  /** Whether there may be a provider to ask on this connection. */
  readonly asks: boolean;
  /** Whether `audit` or `shadow` may have something to say: there is no need to ask them otherwise. */
  readonly watched: boolean;
  /** Of which actions there are dry runs. */
  readonly dryRuns: { readonly deny: boolean; readonly allow: boolean };
  readonly #programs: Programs;
  readonly #facts: ConnectionFacts;
  /** Of the peer's identity. */
  readonly #keys: Keys;
  readonly #custom: BoundProgram;
  readonly #providers: readonly { readonly provider: string; readonly bound: BoundProgram }[];
  readonly #deny: BoundProgram;
  readonly #allow: BoundProgram;
  #lazy: Readonly<Record<'audit' | 'dryDeny' | 'dryAllow', BoundProgram>> | undefined;

  constructor(programs: Programs, facts: ConnectionFacts) {
    this.#programs = programs;
    this.#facts = facts;
    this.#keys = facts.identity === undefined ? NO_KEYS : keysOfIdentity(facts.identity);
    this.dryRuns = { deny: programs.dryDeny.rules > 0, allow: programs.dryAllow.policies > 0 };
    this.watched = programs.audit.rules > 0 || this.dryRuns.deny || this.dryRuns.allow;
    this.#custom = this.#bind(programs.custom);
    this.asks = !this.#custom.settled || this.#custom.always !== undefined;
    this.#providers = this.asks
      ? [...programs.providers].map(([provider, program]) => ({ provider, bound: this.#bind(program) }))
      : [];
    this.#deny = this.#bind(programs.deny);
    this.#allow = this.#bind(programs.allow);
    this.judged = this.#judgedByNow();
    this.constant = this.#settled();
  }

  /**
   * The first step: whom to ask, each provider by the first of its rules that matches, in Envoy's order. For TCP, without
   * a request.
   */
  toAsk(request: RequestFacts | undefined): readonly CustomMatch[] {
    if (!this.asks) return NOBODY;
    return this.#providers.flatMap(({ provider, bound }) => {
      const refusal = firstOf(bound, request)?.verdict;
      return refusal?.matched === undefined ? [] : [{ provider, rule: refusal.matched, refusal }];
    });
  }

  /** The last step: DENY, then ALLOW, as if no CUSTOM rule had matched. Allocates nothing. */
  judge(request: RequestFacts): Verdict {
    if (this.judged !== undefined) return this.judged;
    const denied = this.#deny.first(request);
    if (denied !== undefined) return denied.verdict;
    if (this.#programs.allow.policies === 0) return NO_POLICY;
    return verdictOf(this.#allow.first(request));
  }

  /** All at once, where nobody can be asked: CUSTOM that refuses, then DENY, then ALLOW. Allocates nothing. */
  decide(request: RequestFacts): Verdict {
    if (this.constant !== undefined) return this.constant;
    const asked = this.#custom.first(request);
    return asked === undefined ? this.judge(request) : asked.verdict;
  }

  /** The first AUDIT rule that matches: the request is to be logged. For TCP, without a request. */
  audit(request: RequestFacts | undefined): RuleReference | undefined {
    return firstOf(this.#bindLazily().audit, request)?.verdict.matched;
  }

  /**
   * What dry runs would have done, beside what was done. Nothing where there are none.
   * @param enforced the answer that was given, where providers were asked for it; else as if none could be
   */
  shadow(
    request: RequestFacts | undefined,
    enforced: Verdict | undefined = request === undefined ? this.constant : this.decide(request),
  ): ShadowVerdict | undefined {
    if (!this.dryRuns.deny && !this.dryRuns.allow) return undefined;
    const { dryAllow, allow } = this.#programs;
    const bound = this.#bindLazily();
    const denied = firstOf(bound.dryDeny, request);
    const allowed = firstOf(bound.dryAllow, request);
    const verdict = ((): Verdict => {
      const refused = enforced !== undefined && !enforced.allow && enforced !== NO_ALLOW_MATCHED;
      if (refused) return enforced;
      if (denied !== undefined) return denied.verdict;
      if (allow.policies === 0 && dryAllow.policies === 0) return NO_POLICY;
      return verdictOf(firstOf(this.#allow, request) ?? allowed);
    })();
    return Object.freeze({ deny: denied?.verdict.matched, allow: allowed?.verdict.matched, verdict });
  }

  #bind(program: RuleProgram): BoundProgram {
    return new BoundProgram(program, this.#facts, this.#keys);
  }

  /** Off the hot path: bound when first asked. */
  #bindLazily(): Readonly<Record<'audit' | 'dryDeny' | 'dryAllow', BoundProgram>> {
    const { audit, dryDeny, dryAllow } = this.#programs;
    this.#lazy ??= {
      audit: this.#bind(audit),
      dryDeny: this.#bind(dryDeny),
      dryAllow: this.#bind(dryAllow),
    };
    return this.#lazy;
  }

  #settled(): Verdict | undefined {
    if (!this.#custom.settled) return undefined;
    return this.#custom.always === undefined ? this.judged : this.#custom.always.verdict;
  }

  #judgedByNow(): Verdict | undefined {
    if (!this.#deny.settled) return undefined;
    if (this.#deny.always !== undefined) return this.#deny.always.verdict;
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
