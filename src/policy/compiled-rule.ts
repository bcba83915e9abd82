import type { RequestTest } from './attribute-test.ts';
import { isUntold } from './attribute-traits.ts';
import type { Condition, Rule } from './authorization-policy.ts';
import { bindClause, clauseHolds, compileClause, type Clause } from './clause.ts';
import type { PolicyContext } from './policy-context.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { ruleId, verdictOf, type Verdict } from './verdict.ts';

/** What is made of a rule when it is first asked. */
interface Made {
  /** The whole rule, where each group has one clause, as most have. */
  readonly single: Clause | undefined;
  /** Else the groups: every one must hold, and a group holds when one of its clauses does. */
  readonly groups: readonly (readonly Clause[])[];
}

/**
 * A rule of a listener. It is small, and its tests are made when it is first asked: of a hundred thousand rules most
 * are never asked here.
 */
export class CompiledRule {
  readonly of: PolicyContext;
  readonly rule: Rule;
  #made: Made | undefined;
  #id: string | undefined;
  #verdict: Verdict | undefined;

  constructor(of: PolicyContext, rule: Rule) {
    this.of = of;
    this.rule = rule;
  }

  /** By which Envoy sorts rules. */
  get id(): string {
    this.#id ??= ruleId(this.of.policy, this.rule);
    return this.#id;
  }

  /** Conditions that this listener cannot tell, and judges without. */
  get ignored(): readonly Condition[] {
    const { from, to, when } = this.rule;
    return [...from, ...to, when].flatMap((conditions) =>
      conditions.filter(({ attribute }) => isUntold(attribute, this.of.scope.protocol)),
    );
  }

  /** An ALLOW rule with such a condition never matches. */
  get never(): boolean {
    // Istio drops the whole rule, not the one source or operation (model.go, Generate).
    return this.of.policy.action === 'ALLOW' && this.ignored.length > 0;
  }

  /** Whom a CUSTOM rule asks; empty for any other. */
  get provider(): string {
    return this.of.policy.provider ?? '';
  }

  /** What follows when this rule decides; always the same object. */
  get verdict(): Verdict {
    this.#verdict ??= verdictOf(this.of.policy, this.rule);
    return this.#verdict;
  }

  /** Makes its tests, where somebody must not wait for that later. */
  prepare(): void {
    this.#made ??= this.#compile();
  }

  /** Whether it matches one request. Allocates nothing once it has been asked. */
  matches(connection: ConnectionFacts, request: RequestFacts): boolean {
    const { single, groups } = (this.#made ??= this.#compile());
    if (single !== undefined) return clauseHolds(single, connection, request);
    for (let index = 0; index < groups.length; index += 1) {
      if (!groupHolds(groups[index] ?? [], connection, request)) return false;
    }
    return true;
  }

  /** What is left of it on one connection: decided already, or a test of each request. */
  bind(facts: ConnectionFacts): boolean | RequestTest {
    const { single, groups } = (this.#made ??= this.#compile());
    if (single !== undefined) return bindClause(single, facts);
    const tests: RequestTest[] = [];
    for (const group of groups) {
      const bound = bindGroup(group, facts);
      if (bound === false) return false;
      if (bound !== true) tests.push(bound);
    }
    const [first] = tests;
    if (first === undefined) return true;
    return tests.length === 1 ? first : (asked) => tests.every((test) => test(asked));
  }

  #compile(): Made {
    // A group without a clause never holds.
    if (this.never) return NEVER;
    const { of, rule } = this;
    const { from, to, when } = rule;
    if (from.length <= 1 && to.length <= 1) {
      return { single: compileClause([from[0] ?? NOTHING, to[0] ?? NOTHING, when], of), groups: NONE };
    }
    const written = [from, to, when.length === 0 ? [] : [when]].filter((group) => group.length > 0);
    const groups = written.map((group) => group.map((conditions) => compileClause([conditions], of)));
    return { single: undefined, groups };
  }
}

const NOTHING: readonly Condition[] = Object.freeze([]);
const NONE: Made['groups'] = Object.freeze([]);
const NEVER: Made = Object.freeze({ single: undefined, groups: [[]] });

function groupHolds(group: readonly Clause[], connection: ConnectionFacts, request: RequestFacts): boolean {
  for (let index = 0; index < group.length; index += 1) {
    const clause = group[index];
    if (clause !== undefined && clauseHolds(clause, connection, request)) return true;
  }
  return false;
}

function bindGroup(group: readonly Clause[], facts: ConnectionFacts): boolean | RequestTest {
  const tests: RequestTest[] = [];
  for (const clause of group) {
    const bound = bindClause(clause, facts);
    if (bound === true) return true;
    if (bound !== false) tests.push(bound);
  }
  const [first] = tests;
  if (first === undefined) return false;
  return tests.length === 1 ? first : (asked) => tests.some((test) => test(asked));
}
