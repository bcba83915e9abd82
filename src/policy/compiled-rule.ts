import {
  compileCondition,
  type AddressTest,
  type AttributeTest,
  type ConditionContext,
  type ConnectionTest,
  type RequestTest,
} from './attribute-test.ts';
import { isHttpOnly, isUnknowable } from './attribute-traits.ts';
import type { AuthorizationPolicy, Condition, Rule } from './authorization-policy.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { anchorsOf, type RuleAnchors } from './rule-anchors.ts';
import { ruleId, verdictOf, type Verdict } from './verdict.ts';

export type Protocol = 'http' | 'tcp';

/** One condition beside its test. */
export interface CompiledCondition {
  readonly condition: Condition;
  readonly compiled: AttributeTest;
}

/** Conditions that must all hold: one source, one operation, or all of `when`. Sorted by when they can be known. */
export interface Clause {
  readonly conditions: readonly CompiledCondition[];
  readonly connection: readonly ConnectionTest[];
  readonly remoteAddress: readonly AddressTest[];
  /** All request conditions in one; nothing if there are none. */
  readonly request: RequestTest | undefined;
}

/** What a rule is compiled for. */
export interface RuleContext {
  readonly protocol: Protocol;
  readonly context: ConditionContext;
}

/**
 * A rule of a listener. What finds it is there at once; its tests are made when it is first asked, since of ten
 * thousand rules most are never asked here.
 */
export class CompiledRule {
  readonly id: string;
  readonly rule: Rule;
  /** Conditions that this listener cannot tell, and judges without. */
  readonly ignored: readonly Condition[];
  /** An ALLOW rule with such a condition never matches. */
  readonly never: boolean;
  readonly anchors: RuleAnchors;
  readonly #policy: AuthorizationPolicy;
  readonly #context: ConditionContext;
  #groups: readonly (readonly Clause[])[] | undefined;
  #verdict: Verdict | undefined;

  constructor(policy: AuthorizationPolicy, rule: Rule, { protocol, context }: RuleContext) {
    this.id = ruleId(policy, rule);
    this.rule = rule;
    this.#policy = policy;
    this.#context = context;
    this.ignored = ignoredOf(rule, protocol);
    // Istio drops the whole rule, not the one source or operation (model.go, Generate).
    this.never = policy.action === 'ALLOW' && this.ignored.length > 0;
    this.anchors = anchorsOf(rule, context, protocol === 'http');
  }

  /** Whom a CUSTOM rule asks; empty for any other. */
  get provider(): string {
    return this.#policy.provider ?? '';
  }

  /** What follows when this rule decides; always the same object. */
  get verdict(): Verdict {
    this.#verdict ??= verdictOf(this.#policy, this.rule);
    return this.#verdict;
  }

  /** Every group must hold, and a group holds when one of its clauses does. */
  get groups(): readonly (readonly Clause[])[] {
    this.#groups ??= this.#compile();
    return this.#groups;
  }

  /** Whether it matches one request. Allocates nothing once it has been asked. */
  matches(connection: ConnectionFacts, request: RequestFacts): boolean {
    if (this.never) return false;
    const groups = this.groups;
    for (let index = 0; index < groups.length; index += 1) {
      if (!groupHolds(groups[index] ?? [], connection, request)) return false;
    }
    return true;
  }

  #compile(): readonly (readonly Clause[])[] {
    const { from, to, when } = this.rule;
    const written = [from, to, when.length === 0 ? [] : [when]].filter((group) => group.length > 0);
    const ignored = new Set(this.ignored);
    return written.map((group) =>
      group.map((conditions) =>
        compileClause(
          ignored.size === 0 ? conditions : conditions.filter((condition) => !ignored.has(condition)),
          this.#context,
        ),
      ),
    );
  }
}

const NOTHING: readonly Condition[] = Object.freeze([]);

function ignoredOf({ from, to, when }: Rule, protocol: Protocol): readonly Condition[] {
  let ignored = NOTHING;
  const collect = (conditions: readonly Condition[]): void => {
    for (const condition of conditions) {
      const { attribute } = condition;
      if (isUnknowable(attribute) || (protocol === 'tcp' && isHttpOnly(attribute))) ignored = [...ignored, condition];
    }
  };
  from.forEach(collect);
  to.forEach(collect);
  collect(when);
  return ignored;
}

function groupHolds(group: readonly Clause[], connection: ConnectionFacts, request: RequestFacts): boolean {
  for (let index = 0; index < group.length; index += 1) {
    const clause = group[index];
    if (clause !== undefined && clauseHolds(clause, connection, request)) return true;
  }
  return false;
}

function clauseHolds(clause: Clause, connection: ConnectionFacts, request: RequestFacts): boolean {
  const { connection: ofConnection, remoteAddress } = clause;
  for (let index = 0; index < ofConnection.length; index += 1) {
    if (ofConnection[index]?.(connection) !== true) return false;
  }
  if (remoteAddress.length > 0) {
    const { remoteIp, sourceIp } = connection;
    const client = remoteIp === 'per-request' ? (request.remoteIp ?? sourceIp) : remoteIp;
    for (let index = 0; index < remoteAddress.length; index += 1) {
      if (remoteAddress[index]?.(client) !== true) return false;
    }
  }
  return clause.request === undefined || clause.request(request);
}

function compileClause(conditions: readonly Condition[], context: ConditionContext): Clause {
  const compiled = conditions.map((condition) => ({ condition, compiled: compileCondition(condition, context) }));
  const connection: ConnectionTest[] = [];
  const remoteAddress: AddressTest[] = [];
  const request: RequestTest[] = [];
  for (const { compiled: attribute } of compiled) {
    if (attribute.phase === 'connection') connection.push(attribute.test);
    else if (attribute.phase === 'request') request.push(attribute.test);
    else remoteAddress.push(attribute.test);
  }
  return { conditions: compiled, connection, remoteAddress, request: allOf(request) };
}

/** What is left of a rule on one connection: decided already, or a test of each request. */
export function bindRule(rule: CompiledRule, facts: ConnectionFacts): boolean | RequestTest {
  if (rule.never) return false;
  const [only] = rule.groups;
  if (rule.groups.length === 1 && only !== undefined) return bindGroup(only, facts);
  const tests: RequestTest[] = [];
  for (const group of rule.groups) {
    const bound = bindGroup(group, facts);
    if (bound === false) return false;
    if (bound !== true) tests.push(bound);
  }
  return allOf(tests) ?? true;
}

function bindGroup(group: readonly Clause[], facts: ConnectionFacts): boolean | RequestTest {
  const [only] = group;
  if (group.length === 1 && only !== undefined) return bindClause(only, facts);
  const tests: RequestTest[] = [];
  for (const clause of group) {
    const bound = bindClause(clause, facts);
    if (bound === true) return true;
    if (bound !== false) tests.push(bound);
  }
  return anyOf(tests) ?? false;
}

function bindClause({ connection, remoteAddress, request }: Clause, facts: ConnectionFacts): boolean | RequestTest {
  for (const test of connection) {
    if (!test(facts)) return false;
  }
  const [firstAddress] = remoteAddress;
  if (firstAddress === undefined) return request ?? true;
  const { remoteIp, sourceIp } = facts;
  if (remoteIp !== 'per-request') return remoteAddress.every((test) => test(remoteIp)) ? (request ?? true) : false;
  const addressTest: RequestTest = (asked) => remoteAddress.every((test) => test(asked.remoteIp ?? sourceIp));
  return request === undefined ? addressTest : (asked) => addressTest(asked) && request(asked);
}

function allOf(tests: readonly RequestTest[]): RequestTest | undefined {
  const [first, second] = tests;
  if (first === undefined || second === undefined) return first;
  if (tests.length === 2) return (facts) => first(facts) && second(facts);
  return (facts) => {
    for (const test of tests) {
      if (!test(facts)) return false;
    }
    return true;
  };
}

function anyOf(tests: readonly RequestTest[]): RequestTest | undefined {
  const [first, second] = tests;
  if (first === undefined || second === undefined) return first;
  if (tests.length === 2) return (facts) => first(facts) || second(facts);
  return (facts) => {
    for (const test of tests) {
      if (test(facts)) return true;
    }
    return false;
  };
}
