import type { AskedCondition, PolicyExplanation, RuleExplanation } from './explain.ts';
import type { BriefExplanation } from './explain-briefly.ts';

/** Characters of a value that a log line shows. */
const LONGEST_VALUE = 80;

/**
 * Why a request was denied, in one line for a log: the policy, the rule and the field that decided it; or, where no
 * ALLOW rule matched, the one that came nearest and the first field of it that failed.
 */
export function reasonInShort({ verdict, policies, partial }: BriefExplanation): string {
  const { matched } = verdict;
  if (matched !== undefined) {
    const where = `${matched.action} policy ${matched.policy.namespace}/${matched.policy.name} rule ${matched.rule}`;
    // One by that name that does not match is another one, or was judged by what is not kept.
    const rule = policies.flatMap(({ rules }) => rules).find((each) => each.matched);
    if (rule === undefined) return `${where} matched`;
    const by = rule.held.map(shown).join('; ');
    return by === '' ? `${where} matched everything` : `${where} matched: ${by}`;
  }
  const nearest = nearestRule(policies);
  if (nearest === undefined) return verdict.reason;
  const { policy, rule } = nearest;
  const where = `ALLOW policy ${policy.policy.namespace}/${policy.policy.name} rule ${rule.rule}`;
  const why = rule.failed === undefined ? `never matches here, by ${rule.ignored.join(', ')}` : failing(rule.failed);
  const among = partial ? `nearest of ${policies.length} that were asked again` : 'nearest';
  return `no ALLOW rule matched; ${among} was ${where}: ${why}`;
}

/** The rule that failed latest: `from` is asked first, then `to`, then `when`. */
function nearestRule(
  policies: readonly PolicyExplanation[],
): { policy: PolicyExplanation; rule: RuleExplanation } | undefined {
  let best: { policy: PolicyExplanation; rule: RuleExplanation; rank: number } | undefined;
  for (const policy of policies) {
    if (policy.action !== 'ALLOW' || policy.dryRun) continue;
    for (const rule of policy.rules) {
      const rank = ['from', 'to', 'when'].findIndex((group) => rule.failed?.field.startsWith(group) === true);
      if (best === undefined || rank > best.rank) best = { policy, rule, rank };
    }
  }
  return best;
}

function failing(condition: AskedCondition): string {
  const { negated, got } = condition;
  const wanted = `${nameOf(condition)} ${negated ? 'must be none of' : 'must be'} ${valuesOf(condition)}`;
  // What a token says of a person stays out of logs.
  if (condition.attribute.startsWith('request.auth.')) return wanted;
  return `${wanted}, was ${got === undefined ? 'absent' : quoted(got)}`;
}

function shown(condition: AskedCondition): string {
  return `${nameOf(condition)} ${condition.negated ? 'is none of' : 'is'} ${valuesOf(condition)}`;
}

/** `to[0].operation.methods`, and for `when` what it asks for. */
function nameOf({ field, attribute }: AskedCondition): string {
  return field.startsWith('when') ? `${field} (${attribute})` : field;
}

function valuesOf({ wanted }: AskedCondition): string {
  const first = wanted.slice(0, 4).map(quoted).join(' or ');
  return wanted.length > 4 ? `${first} or ${wanted.length - 4} more` : first;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text);
}
