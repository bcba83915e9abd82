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

/** Asks rules in the order in which they are given, and no more than can be asked while others wait. */
export function explainBriefly(verdict: Verdict, rules: Iterable<CompiledRule>, facts: AskedFacts): BriefExplanation {
  const asked = new Set<CompiledRule>();
  const policies: PolicyExplanation[] = [];
  let partial = false;
  for (const rule of rules) {
    if (asked.has(rule)) continue;
    if (asked.size === MOST_ASKED) {
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
