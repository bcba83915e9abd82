import type { Condition, Rule } from './authorization-policy.ts';

/** Two conditions that cannot both hold. */
export interface Contradiction {
  readonly condition: Condition;
  readonly other: Condition;
}

/**
 * Finds a rule that can never match because of what it says itself: `from` of which every source contradicts itself or
 * `when`, the same for `to`, or `when` alone. Only what is certain: lists of exact values that share none, and values
 * all of which are excluded again. Nothing is said of patterns.
 */
export function contradictionOf({ from, to, when }: Rule): Contradiction | undefined {
  const work = { left: MOST_COMPARED };
  const inWhen = contradictionIn(when, work);
  if (inWhen !== undefined) return inWhen;
  for (const group of [from, to]) {
    const found = group.map((conditions) => contradictionIn([...conditions, ...when], work));
    const [first] = found;
    if (first !== undefined && found.every((one) => one !== undefined)) return first;
  }
  return undefined;
}

/** Beyond this nothing is said: whoever reads a policy that somebody wrote does not look at it for seconds. */
const MOST_COMPARED = 200_000;

interface Work {
  /** Conditions and values that may still be looked at. */
  left: number;
}

function contradictionIn(conditions: readonly Condition[], work: Work): Contradiction | undefined {
  for (const [index, condition] of conditions.entries()) {
    if (condition.negated || !comparable(condition)) continue;
    for (const [at, other] of conditions.entries()) {
      if ((work.left -= 1) < 0) return undefined;
      if (at === index || !sameAttribute(condition, other)) continue;
      if ((work.left -= condition.values.length + other.values.length) < 0) return undefined;
      const contradicts = other.negated ? excludesAll(condition, other) : at > index && sharesNone(condition, other);
      if (contradicts) return { condition, other };
    }
  }
  return undefined;
}

/** A claim and an audience may hold several values at once, and an address may be in two ranges. */
const MANY_AT_ONCE: ReadonlySet<string> = new Set([
  'request.auth.claims',
  'request.auth.audiences',
  'source.ip',
  'remote.ip',
  'destination.ip',
  'experimental.envoy.filters',
]);

function comparable({ attribute }: Condition): boolean {
  return !MANY_AT_ONCE.has(attribute.name);
}

function sameAttribute(a: Condition, b: Condition): boolean {
  return a.attribute.name === b.attribute.name && JSON.stringify(a.attribute) === JSON.stringify(b.attribute);
}

/** `*` excludes whatever is there; else each value must be excluded as it is written. */
function excludesAll({ values }: Condition, { values: excluded }: Condition): boolean {
  const all: ReadonlySet<string> = new Set(excluded);
  return all.has('*') || values.every((value) => all.has(value));
}

/** Names that are written alike up to aliases, case or a default namespace are not told apart here, so not compared. */
const EXACT: ReadonlySet<string> = new Set([
  'request.method',
  'destination.port',
  'source.namespace',
  'request.headers',
]);

function sharesNone(a: Condition, b: Condition): boolean {
  if (!EXACT.has(a.attribute.name) || [...a.values, ...b.values].some((value) => value.includes('*'))) return false;
  const others: ReadonlySet<string> = new Set(b.values);
  return !a.values.some((value) => others.has(value));
}
