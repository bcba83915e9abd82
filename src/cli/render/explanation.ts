import type { AskedCondition, PolicyExplanation, RuleExplanation } from '../../policy/explain.ts';
import type { RuleReference } from '../../policy/verdict.ts';
import type { ExplainedCall } from '../explain-call.ts';

/** The answer for a person: what it is, what decided, and for every other policy the first thing that did not fit. */
export function renderCall({ allowed, refusedByMtls, call, mtls, explanation, places }: ExplainedCall): string {
  const { verdict, policies, notApplied } = explanation;
  const lines: string[] = [];
  const request = call['method'] === undefined ? '' : ` ${call['method']} ${call['path']}`;
  lines.push(`${call['from']} -> ${call['to']} port ${call['port']} (${call['protocol']})${request}`);
  lines.push(`${allowed ? 'ALLOWED' : 'DENIED'}: ${refusedByMtls ? STRICT_REFUSES : verdict.reason}`);
  if (!refusedByMtls && verdict.matched !== undefined) lines.push(...decision(verdict.matched, policies, places));
  const source = mtls.policy === undefined ? '' : ` by ${mtls.policy.namespace}/${mtls.policy.name}`;
  lines.push(`mTLS: ${mtls.mode} (${mtls.level}${source})`);
  if (policies.length > 0) lines.push('', 'policies of this workload:');
  for (const policy of policies) lines.push(...policyLines(policy));
  if (notApplied.length > 0) lines.push('', 'policies that are not for it:');
  for (const { policy, reason } of notApplied) lines.push(`  ${policy.namespace}/${policy.name}: ${PASSED[reason]}`);
  return lines.map((line) => `${line}\n`).join('');
}

const STRICT_REFUSES = 'the port is STRICT and the caller presents no certificate; no policy is asked';

const PASSED = {
  'other-namespace': 'of another namespace',
  selector: 'its selector does not select the workload',
  'attached-to-target': 'attached to a gateway or service; no sidecar enforces it',
} as const;

function decision(
  { policy, rule }: RuleReference,
  policies: readonly PolicyExplanation[],
  places: ExplainedCall['places'],
): string[] {
  const explained = policies
    .find((each) => each.policy.namespace === policy.namespace && each.policy.name === policy.name)
    ?.rules.find((each) => each.rule === rule);
  const place = places[`${policy.namespace}/${policy.name}`]?.[rule];
  return [
    ...(place === undefined ? [] : [`  at ${place}`]),
    ...(explained === undefined || explained.held.length > 0
      ? (explained?.held.map((condition) => `  by ${asked(condition)}`) ?? [])
      : ['  by an empty rule, which matches everything']),
  ];
}

function policyLines({ policy, action, dryRun, matched, rules }: PolicyExplanation): string[] {
  const what = `${action}${dryRun ? ' (dry run)' : ''}`;
  const head = `  ${policy.namespace}/${policy.name} ${what}: ${matched ? 'matched' : 'did not match'}`;
  if (rules.length === 0) return [`${head}, it has no rules`];
  return [head, ...rules.map((rule) => `    rule ${rule.rule}: ${ruleLine(rule)}`)];
}

function ruleLine({ matched, failed, ignored }: RuleExplanation): string {
  const left = ignored.length === 0 ? '' : `; ${ignored.join(', ')} cannot be told on this port`;
  if (matched) return `matched${left}`;
  return `${failed === undefined ? 'never matches here' : asked(failed)}${left}`;
}

/** `to[0].operation.methods: wanted "POST", got "GET"`. */
function asked({ field, wanted, negated, got }: AskedCondition): string {
  const shown = wanted.slice(0, 8).map((value) => JSON.stringify(value));
  const more = wanted.length > shown.length ? ` and ${wanted.length - shown.length} more` : '';
  const values = `${shown.join(' or ')}${more}`;
  return `${field}: ${negated ? 'wanted none of' : 'wanted'} ${values}, got ${got === undefined ? 'nothing' : JSON.stringify(got)}`;
}
