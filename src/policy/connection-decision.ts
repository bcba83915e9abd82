import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { BoundProgram, NONE, type RuleProgram } from './rule-program.ts';
import { NO_ALLOW_MATCHED, NO_POLICY, type RuleReference, type Verdict } from './verdict.ts';

/** The compiled rules of a workload's listener, by what is done with them. */
export interface Programs {
  readonly custom: RuleProgram;
  /** The CUSTOM rules once more, those of each provider by themselves. */
  readonly providers: readonly { readonly provider: string; readonly program: RuleProgram }[];
  readonly deny: RuleProgram;
  readonly allow: RuleProgram;
  readonly audit: RuleProgram;
  /** Dry runs. */
  readonly dryDeny: RuleProgram;
  readonly dryAllow: RuleProgram;
  /** Whether an ALLOW policy applies, even one none of whose rules can match. */
  readonly allowing: boolean;
  readonly dryAllowing: boolean;
}

/** A CUSTOM rule that matched: its provider is to be asked. */
export interface CustomMatch {
  readonly provider: string;
  readonly rule: RuleReference;
  /** What follows where the provider cannot be asked. */
  readonly refusal: Verdict;
}

const NOBODY: readonly CustomMatch[] = Object.freeze([]);

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
  readonly #programs: Programs;
  readonly #facts: ConnectionFacts;
  readonly #custom: BoundProgram;
  readonly #providers: readonly { readonly provider: string; readonly program: RuleProgram; bound: BoundProgram }[];
  readonly #deny: BoundProgram;
  readonly #allow: BoundProgram;
  #lazy: Readonly<Record<'audit' | 'dryDeny' | 'dryAllow', BoundProgram>> | undefined;

  constructor(programs: Programs, facts: ConnectionFacts) {
    this.#programs = programs;
    this.#facts = facts;
    this.#custom = new BoundProgram(programs.custom, facts);
    this.asks = this.#custom.constant !== NONE;
    this.#providers = this.asks
      ? programs.providers.map((each) => ({ ...each, bound: new BoundProgram(each.program, facts) }))
      : [];
    this.#deny = new BoundProgram(programs.deny, facts);
    this.#allow = new BoundProgram(programs.allow, facts);
    this.judged = this.#judgedByNow();
    this.constant = this.#settled();
  }

  /**
   * The first step: whom to ask, each provider by the first of its rules that matches, in Envoy's order. For TCP, without
   * a request.
   */
  toAsk(request: RequestFacts | undefined): readonly CustomMatch[] {
    if (!this.asks) return NOBODY;
    return this.#providers.flatMap(({ provider, program, bound }) => {
      const refusal = program.rules[placeOf(bound, request)]?.verdict;
      return refusal?.matched === undefined ? [] : [{ provider, rule: refusal.matched, refusal }];
    });
  }

  /** The last step: DENY, then ALLOW, as if no CUSTOM rule had matched. Allocates nothing. */
  judge(request: RequestFacts): Verdict {
    if (this.judged !== undefined) return this.judged;
    const { deny, allow } = this.#programs;
    const denied = this.#deny.first(request);
    if (denied !== NONE) return verdictAt(deny, denied);
    if (!this.#programs.allowing) return NO_POLICY;
    return verdictAt(allow, this.#allow.first(request));
  }

  /** All at once, where nobody can be asked: CUSTOM that refuses, then DENY, then ALLOW. Allocates nothing. */
  decide(request: RequestFacts): Verdict {
    if (this.constant !== undefined) return this.constant;
    const asked = this.#custom.first(request);
    return asked === NONE ? this.judge(request) : verdictAt(this.#programs.custom, asked);
  }

  /** The first AUDIT rule that matches: the request is to be logged. For TCP, without a request. */
  audit(request: RequestFacts | undefined): RuleReference | undefined {
    return referenceAt(this.#programs.audit, placeOf(this.#bindLazily().audit, request));
  }

  /** What dry runs would have done, beside what was done. Nothing where there are none. */
  shadow(request: RequestFacts | undefined): ShadowVerdict | undefined {
    const { dryDeny, dryAllow, dryAllowing, allowing, allow } = this.#programs;
    if (dryDeny.rules.length === 0 && !dryAllowing) return undefined;
    const bound = this.#bindLazily();
    const denied = placeOf(bound.dryDeny, request);
    const allowed = placeOf(bound.dryAllow, request);
    const enforced = request === undefined ? this.constant : this.decide(request);
    const verdict = ((): Verdict => {
      const refused = enforced !== undefined && !enforced.allow && enforced !== NO_ALLOW_MATCHED;
      if (refused) return enforced;
      if (denied !== NONE) return verdictAt(dryDeny, denied);
      if (!allowing && !dryAllowing) return NO_POLICY;
      const place = placeOf(this.#allow, request);
      return place === NONE ? verdictAt(dryAllow, allowed) : verdictAt(allow, place);
    })();
    return Object.freeze({
      deny: referenceAt(dryDeny, denied),
      allow: referenceAt(dryAllow, allowed),
      verdict,
    });
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
    const asked = this.#custom.constant;
    if (asked === undefined) return undefined;
    return asked === NONE ? this.judged : verdictAt(this.#programs.custom, asked);
  }

  #judgedByNow(): Verdict | undefined {
    const { deny, allow, allowing } = this.#programs;
    const denied = this.#deny.constant;
    if (denied === undefined) return undefined;
    if (denied !== NONE) return verdictAt(deny, denied);
    if (!allowing) return NO_POLICY;
    const place = this.#allow.constant;
    return place === undefined ? undefined : verdictAt(allow, place);
  }
}

/** `NONE` is an ALLOW program in which nothing matched. */
function verdictAt({ rules }: RuleProgram, place: number): Verdict {
  return rules[place]?.verdict ?? NO_ALLOW_MATCHED;
}

function referenceAt({ rules }: RuleProgram, place: number): RuleReference | undefined {
  return rules[place]?.verdict.matched;
}

/** Without a request everything has been settled: a program that has not matched by now does not match. */
function placeOf(bound: BoundProgram, request: RequestFacts | undefined): number {
  return request === undefined ? (bound.constant ?? NONE) : bound.first(request);
}
