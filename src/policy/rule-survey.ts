import { isHttpOnly, isUnknowable, type Protocol } from './attribute-traits.ts';
import type { AuthorizationPolicy, Condition, Rule } from './authorization-policy.ts';
import type { Slices } from './slices.ts';

/** What has to be known of each rule of a policy before any is asked, for any listener. */
export interface PolicySurvey {
  readonly rules: readonly number[];
  /** What every one of them has. */
  readonly all: number;
  /** What at least one has. */
  readonly any: number;
}

// Of one rule, as bits: there are a hundred thousand.
const UNKNOWABLE = 1;
const HTTP_ONLY = 2;
/** It asks for more of a request than method, host and path. */
export const ASKS_MORE = 4;
/** It has so many lists and texts that its tests take a while to make. */
export const HEAVY = 8;
const MOST_WEIGHT = 64;

/** What such a listener cannot tell of a rule in full. */
export function untoldOn(protocol: Protocol): number {
  return protocol === 'tcp' ? UNKNOWABLE | HTTP_ONLY : UNKNOWABLE;
}

/** Both listeners of a workload want it, and to look at every rule is most of what the second one costs. */
const known = new WeakMap<AuthorizationPolicy, PolicySurvey>();

const PAUSE = 128;

/** Pauses where others may have a turn, where a policy has many rules. */
export function* surveyOf(policy: AuthorizationPolicy): Slices<PolicySurvey> {
  const before = known.get(policy);
  if (before !== undefined) return before;
  const rules: number[] = [];
  let any = 0;
  let all = UNKNOWABLE | HTTP_ONLY | ASKS_MORE | HEAVY;
  for (let index = 0; index < policy.rules.length; index += 1) {
    const rule = policy.rules[index];
    const seen = rule === undefined ? 0 : surveyOfRule(rule);
    all &= seen;
    any |= seen;
    rules.push(seen);
    if (index % PAUSE === PAUSE - 1) yield;
  }
  const survey = { rules, all, any };
  known.set(policy, survey);
  return survey;
}

function surveyOfRule({ from, to, when }: Rule): number {
  let seen = surveyOfList(when);
  let weight = weightOfList(when);
  for (let index = 0; index < from.length; index += 1) {
    seen |= surveyOfList(from[index]);
    weight += weightOfList(from[index]);
  }
  for (let index = 0; index < to.length; index += 1) {
    seen |= surveyOfList(to[index]);
    weight += weightOfList(to[index]);
  }
  return weight > MOST_WEIGHT ? seen | HEAVY : seen;
}

function surveyOfList(conditions: readonly Condition[] = []): number {
  let seen = 0;
  for (let index = 0; index < conditions.length; index += 1) {
    const attribute = conditions[index]?.attribute;
    if (attribute === undefined) continue;
    if (isUnknowable(attribute)) seen |= UNKNOWABLE;
    else if (isHttpOnly(attribute)) seen |= BASIC.has(attribute.name) ? HTTP_ONLY : HTTP_ONLY | ASKS_MORE;
  }
  return seen;
}

function weightOfList(conditions: readonly Condition[] = []): number {
  let weight = conditions.length;
  for (let index = 0; index < conditions.length; index += 1) weight += conditions[index]?.values.length ?? 0;
  return weight;
}

/** What is known of every request. */
const BASIC: ReadonlySet<string> = new Set(['request.method', 'request.host', 'request.path']);
