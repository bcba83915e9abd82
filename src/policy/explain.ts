import type { PassedPolicy } from './applied-policy.ts';
import type { AttributeTest } from './attribute-test.ts';
import type { Action, Condition } from './authorization-policy.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { CompiledRule } from './compiled-rule.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import type { ResourceName } from './resource-document.ts';
import { NO_ALLOW_MATCHED, NO_POLICY, type RuleReference, type Verdict } from './verdict.ts';

/** A condition as it was asked. */
export interface AskedCondition {
  /** Below the rule, such as `from[0].source.principals`. */
  readonly field: string;
  /** What is compared, such as `source.principal` or `request.headers[x-role]`. */
  readonly attribute: string;
  /** As written. */
  readonly wanted: readonly string[];
  /** Whether none of them was wanted. */
  readonly negated: boolean;
  /** Nothing where there is no such thing: no identity, no header, no token. */
  readonly got: string | undefined;
}

export interface RuleExplanation {
  readonly rule: number;
  readonly matched: boolean;
  /** The first condition that failed, of the source or operation that came nearest. */
  readonly failed: AskedCondition | undefined;
  /** What held, of a rule that matched: the conditions of the first source and operation that did, and all of `when`. */
  readonly held: readonly AskedCondition[];
  /** Fields that this listener cannot tell; an ALLOW rule with one never matches, others are judged without. */
  readonly ignored: readonly string[];
}

export interface PolicyExplanation {
  readonly policy: ResourceName;
  readonly action: Action;
  readonly dryRun: boolean;
  readonly matched: boolean;
  readonly rules: readonly RuleExplanation[];
}

/** A provider that is asked, and the first of its rules that matched. */
export interface AskedProvider {
  readonly provider: string;
  readonly rule: RuleReference;
}

/** Why a request was answered as it was. Plain records, safe to show: no credentials. */
export interface Explanation {
  /** As if no provider could be asked. */
  readonly verdict: Verdict;
  /** The CUSTOM rules by which providers are asked, one for each provider. */
  readonly asks: readonly AskedProvider[];
  /** What DENY and ALLOW come to once all of these agree. */
  readonly judged: Verdict;
  /** The same if every dry run were enforced; absent where there is none. */
  readonly dryRun?: Verdict | undefined;
  readonly policies: readonly PolicyExplanation[];
  readonly notApplied: readonly PassedPolicy[];
}

interface Question {
  readonly applied: readonly CompiledPolicy[];
  readonly passed: readonly PassedPolicy[];
  readonly connection: ConnectionFacts;
  readonly request: RequestFacts | undefined;
}

/** So many rules are some tens of microseconds. */
const PAUSE = 32;

/**
 * Asks every condition of every rule, and pauses where others may have a turn. Shares no evaluation order with the hot
 * path, so that tests can compare both.
 */
export function* explainInSlices(question: Question): Generator<undefined, Explanation> {
  const { applied, passed, connection, request } = question;
  const facts = { connection, request };
  const matching: Record<Action, CompiledRule[]> = { ALLOW: [], DENY: [], AUDIT: [], CUSTOM: [] };
  const matchingDry: Record<Action, CompiledRule[]> = { ALLOW: [], DENY: [], AUDIT: [], CUSTOM: [] };
  const policies: PolicyExplanation[] = [];
  let allowing = false;
  let allowingDry = false;
  let asked = 0;
  for (const { policy, rules } of applied) {
    const { namespace, name, action, dryRun } = policy;
    if (action === 'ALLOW' && !dryRun) allowing = true;
    if (action === 'ALLOW' && dryRun) allowingDry = true;
    const explained: RuleExplanation[] = [];
    for (const rule of rules) {
      const explanation = explainRule(rule, facts);
      if (explanation.matched) (dryRun ? matchingDry : matching)[action].push(rule);
      explained.push(explanation);
      if ((asked += 1) % PAUSE === 0) yield;
    }
    const matched = explained.some((rule) => rule.matched);
    policies.push({ policy: { namespace, name }, action, dryRun, matched, rules: explained });
  }
  const denied = firstById(matching.DENY)?.verdict;
  const allowed = firstById(matching.ALLOW)?.verdict;
  const onceAgreed = denied ?? (allowing ? (allowed ?? NO_ALLOW_MATCHED) : NO_POLICY);
  const deniedDry = denied ?? firstById(matchingDry.DENY)?.verdict;
  const allowedDry = allowed ?? firstById(matchingDry.ALLOW)?.verdict;
  return {
    verdict: firstById(matching.CUSTOM)?.verdict ?? onceAgreed,
    asks: asksOf(matching.CUSTOM),
    judged: onceAgreed,
    ...(policies.some(({ dryRun }) => dryRun)
      ? { dryRun: deniedDry ?? (allowing || allowingDry ? (allowedDry ?? NO_ALLOW_MATCHED) : NO_POLICY) }
      : {}),
    policies,
    notApplied: passed,
  };
}

function firstById(rules: readonly CompiledRule[]): CompiledRule | undefined {
  return rules.toSorted((a, b) => (a.id < b.id ? -1 : 1))[0];
}

function asksOf(custom: readonly CompiledRule[]): readonly AskedProvider[] {
  const names = [...new Set(custom.map(({ provider }) => provider))].sort();
  return names.flatMap((provider) => {
    const rule = firstById(custom.filter((each) => each.provider === provider))?.verdict.matched;
    return rule === undefined ? [] : [{ provider, rule }];
  });
}

/** Without a request on TCP. */
export interface AskedFacts {
  readonly connection: ConnectionFacts;
  readonly request: RequestFacts | undefined;
}

/** One condition beside its test. */
interface CompiledCondition {
  readonly condition: Condition;
  readonly compiled: AttributeTest;
}

type Clause = readonly CompiledCondition[];

/** Compiled for this question alone: all rules are asked here, and few of them in earnest. */
function groupsOf({ of, rule: { from, to, when } }: CompiledRule, ignored: readonly Condition[]): Clause[][] {
  const written = [from, to, when.length === 0 ? [] : [when]].filter((group) => group.length > 0);
  return written.map((group) =>
    group.map((conditions) =>
      conditions
        .filter((condition) => !ignored.includes(condition))
        .map((condition) => ({ condition, compiled: of.compile(condition) })),
    ),
  );
}

/** What one rule says to it, condition by condition. */
export function explainRule(compiled: CompiledRule, facts: AskedFacts): RuleExplanation {
  const { rule, ignored, never } = compiled;
  const groups = groupsOf(compiled, ignored);
  const failures = groups.map((group) => failureOf(group, facts));
  const failed = failures.find((failure) => failure !== undefined);
  const matched = failed === undefined && !never;
  return {
    rule: rule.index,
    matched,
    failed,
    held: matched ? groups.flatMap((group) => heldOf(group, facts)) : [],
    ignored: ignored.map(({ field }) => field),
  };
}

/** Nothing if one clause holds; else the first failure of the clause that holds longest. */
function failureOf(group: readonly Clause[], facts: AskedFacts): AskedCondition | undefined {
  let nearest: { failure: AskedCondition; held: number } | undefined;
  for (const conditions of group) {
    const held = conditions.findIndex((condition) => !holds(condition, facts));
    const failed = conditions[held];
    if (failed === undefined) return undefined;
    if (nearest === undefined || held > nearest.held) nearest = { failure: askedOf(failed, facts), held };
  }
  return nearest?.failure;
}

/** The conditions of the first clause that holds. */
function heldOf(group: readonly Clause[], facts: AskedFacts): AskedCondition[] {
  const clause = group.find((conditions) => conditions.every((condition) => holds(condition, facts)));
  return clause?.map((condition) => askedOf(condition, facts)) ?? [];
}

function holds({ compiled }: CompiledCondition, facts: AskedFacts): boolean {
  if (compiled.phase === 'connection') return compiled.test(facts.connection);
  if (compiled.phase === 'remote-address') return compiled.test(remoteAddress(facts));
  return facts.request !== undefined && compiled.test(facts.request);
}

function askedOf(asked: CompiledCondition, facts: AskedFacts): AskedCondition {
  const { field, attribute, values, negated } = asked.condition;
  return { field, attribute: attributeText(attribute), wanted: values, negated, got: read(asked, facts) };
}

function attributeText(attribute: Condition['attribute']): string {
  if (attribute.name === 'request.headers') return `${attribute.name}[${attribute.header}]`;
  if (attribute.name === 'request.auth.claims') return `${attribute.name}[${attribute.claim.join('][')}]`;
  return attribute.name;
}

function read({ compiled }: CompiledCondition, facts: AskedFacts): string | undefined {
  if (compiled.phase === 'connection') return compiled.read(facts.connection);
  if (compiled.phase === 'remote-address') return remoteAddress(facts).text;
  return facts.request === undefined ? undefined : compiled.read(facts.request);
}

function remoteAddress({ connection, request }: AskedFacts): ConnectionFacts['sourceIp'] {
  const { remoteIp, sourceIp } = connection;
  return remoteIp === 'per-request' ? (request?.remoteIp ?? sourceIp) : remoteIp;
}
