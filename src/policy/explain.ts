import type { AppliedPolicy, PassedPolicy } from './applied-policy.ts';
import type { Action, Condition } from './authorization-policy.ts';
import type { Clause, CompiledCondition, CompiledRule } from './compiled-rule.ts';
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
  readonly policies: readonly PolicyExplanation[];
  readonly notApplied: readonly PassedPolicy[];
}

interface Question {
  readonly applied: readonly AppliedPolicy[];
  readonly passed: readonly PassedPolicy[];
  readonly connection: ConnectionFacts;
  readonly request: RequestFacts | undefined;
}

/** Asks every condition of every rule. Shares no evaluation order with the hot path, so that tests can compare both. */
export function explain({ applied, passed, connection, request }: Question): Explanation {
  const facts = { connection, request };
  const judged = applied.map(({ policy, rules }) => ({
    policy,
    rules: rules.map((compiled) => ({ compiled, explanation: explainRule(compiled, facts) })),
  }));
  const matchedOf = (action: Action): CompiledRule[] =>
    judged
      .filter(({ policy }) => policy.action === action && !policy.dryRun)
      .flatMap(({ rules }) => rules.filter(({ explanation }) => explanation.matched))
      .map(({ compiled }) => compiled);
  const allowing = applied.some(({ policy }) => policy.action === 'ALLOW' && !policy.dryRun);
  const custom = matchedOf('CUSTOM');
  const onceAgreed =
    firstById(matchedOf('DENY'))?.verdict ??
    (allowing ? (firstById(matchedOf('ALLOW'))?.verdict ?? NO_ALLOW_MATCHED) : NO_POLICY);
  return {
    verdict: firstById(custom)?.verdict ?? onceAgreed,
    asks: asksOf(custom),
    judged: onceAgreed,
    policies: judged.map(({ policy: { namespace, name, action, dryRun }, rules }) => ({
      policy: { namespace, name },
      action,
      dryRun,
      matched: rules.some(({ explanation }) => explanation.matched),
      rules: rules.map(({ explanation }) => explanation),
    })),
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

interface Facts {
  readonly connection: ConnectionFacts;
  readonly request: RequestFacts | undefined;
}

function explainRule({ rule, groups, ignored, never }: CompiledRule, facts: Facts): RuleExplanation {
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
function failureOf(group: readonly Clause[], facts: Facts): AskedCondition | undefined {
  let nearest: { failure: AskedCondition; held: number } | undefined;
  for (const { conditions } of group) {
    const held = conditions.findIndex((condition) => !holds(condition, facts));
    const failed = conditions[held];
    if (failed === undefined) return undefined;
    if (nearest === undefined || held > nearest.held) nearest = { failure: askedOf(failed, facts), held };
  }
  return nearest?.failure;
}

/** The conditions of the first clause that holds. */
function heldOf(group: readonly Clause[], facts: Facts): AskedCondition[] {
  const clause = group.find(({ conditions }) => conditions.every((condition) => holds(condition, facts)));
  return clause?.conditions.map((condition) => askedOf(condition, facts)) ?? [];
}

function holds({ compiled }: CompiledCondition, facts: Facts): boolean {
  if (compiled.phase === 'connection') return compiled.test(facts.connection);
  if (compiled.phase === 'remote-address') return compiled.test(remoteAddress(facts));
  return facts.request !== undefined && compiled.test(facts.request);
}

function askedOf(asked: CompiledCondition, facts: Facts): AskedCondition {
  const { field, attribute, values, negated } = asked.condition;
  return { field, attribute: attributeText(attribute), wanted: values, negated, got: read(asked, facts) };
}

function attributeText(attribute: Condition['attribute']): string {
  if (attribute.name === 'request.headers') return `${attribute.name}[${attribute.header}]`;
  if (attribute.name === 'request.auth.claims') return `${attribute.name}[${attribute.claim.join('][')}]`;
  return attribute.name;
}

function read({ compiled }: CompiledCondition, facts: Facts): string | undefined {
  if (compiled.phase === 'connection') return compiled.read(facts.connection);
  if (compiled.phase === 'remote-address') return remoteAddress(facts).text;
  return facts.request === undefined ? undefined : compiled.read(facts.request);
}

function remoteAddress({ connection, request }: Facts): ConnectionFacts['sourceIp'] {
  const { remoteIp, sourceIp } = connection;
  return remoteIp === 'per-request' ? (request?.remoteIp ?? sourceIp) : remoteIp;
}
