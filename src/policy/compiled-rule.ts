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
import type { ConnectionFacts } from './facts.ts';
import { pathLeadsOf, type PathLead } from './path-lead.ts';
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

/** A rule ready to be asked: every group must hold, and a group holds when one of its clauses does. */
export interface CompiledRule {
  readonly id: string;
  readonly rule: Rule;
  /** What follows when this rule decides. */
  readonly verdict: Verdict;
  readonly groups: readonly (readonly Clause[])[];
  /** Conditions that this listener cannot tell, and judges without. */
  readonly ignored: readonly Condition[];
  /** An ALLOW rule with such a condition never matches. */
  readonly never: boolean;
  /** How every path that can match begins; nothing where that is not known. */
  readonly leads: readonly PathLead[] | undefined;
}

/** Compiles one rule for a listener that speaks this protocol. */
export function compileRule(
  policy: AuthorizationPolicy,
  rule: Rule,
  { protocol, context }: { protocol: Protocol; context: ConditionContext },
): CompiledRule {
  const cannotTell = ({ attribute }: Condition): boolean =>
    isUnknowable(attribute) || (protocol === 'tcp' && isHttpOnly(attribute));
  const written = [rule.from, rule.to, rule.when.length === 0 ? [] : [rule.when]].filter((group) => group.length > 0);
  const ignored = written.flat(2).filter(cannotTell);
  const groups = written.map((group) =>
    group.map((conditions) =>
      compileClause(
        conditions.filter((condition) => !cannotTell(condition)),
        context,
      ),
    ),
  );
  return Object.freeze({
    id: ruleId(policy, rule),
    rule,
    verdict: verdictOf(policy, rule),
    groups,
    ignored,
    // Istio drops the whole rule, not the one source or operation (model.go, Generate).
    never: policy.action === 'ALLOW' && ignored.length > 0,
    leads: protocol === 'http' ? pathLeadsOf(rule) : undefined,
  });
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
  return tests.length === 2 ? (facts) => first(facts) && second(facts) : (facts) => tests.every((test) => test(facts));
}

function anyOf(tests: readonly RequestTest[]): RequestTest | undefined {
  const [first, second] = tests;
  if (first === undefined || second === undefined) return first;
  return tests.length === 2 ? (facts) => first(facts) || second(facts) : (facts) => tests.some((test) => test(facts));
}
