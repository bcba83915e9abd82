import type { CompiledRule } from './compiled-rule.ts';
import { explainRule, type AskedFacts, type Explanation, type PolicyExplanation } from './explain.ts';
import type { Verdict } from './verdict.ts';

/** Why a request was decided as it was, asked of few rules. */
export interface BriefExplanation extends Pick<Explanation, 'verdict'> {
  /** One for each rule that was asked. */
  readonly policies: readonly PolicyExplanation[];
  /** Whether there are more rules than were asked. */
  readonly partial: boolean;
}

/** So many rules are asked in a millisecond or less. */
const MOST_ASKED = 256;
/** Where they have so many values together: the tests of each are made for this alone. The first is asked, whatever it has. */
const MOST_VALUES = 4_096;
/** A rule that is found in many ways is given many times. */
const MOST_GIVEN = 16 * MOST_ASKED;

/** Asks rules in the order in which they are given, and no more than can be asked while others wait. */
export function explainBriefly(verdict: Verdict, rules: Iterable<CompiledRule>, facts: AskedFacts): BriefExplanation {
  const asked = new Set<CompiledRule>();
  const policies: PolicyExplanation[] = [];
  let partial = false;
  let given = 0;
  let values = 0;
  for (const rule of rules) {
    given += 1;
    if (asked.has(rule) && given < MOST_GIVEN) continue;
    values += valuesOf(rule);
    if (asked.size === MOST_ASKED || given >= MOST_GIVEN || (values > MOST_VALUES && asked.size > 0)) {
      partial = true;
      break;
    }
    asked.add(rule);
    const explanation = explainRule(rule, facts);
    const { namespace, name, action, dryRun } = rule.of.policy;
    policies.push({
      policy: { namespace, name },
      action,
      dryRun,
      matched: explanation.matched,
      rules: [explanation],
    });
  }
  return { verdict, policies, partial };
}

function valuesOf({ rule: { from, to, when } }: CompiledRule): number {
  let count = 0;
  for (const conditions of [...from, ...to, when]) {
    for (const { values } of conditions) count += values.length;
  }
  return count;
}
