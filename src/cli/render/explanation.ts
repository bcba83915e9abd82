import type { AskedCondition, Explanation, PolicyExplanation, RuleExplanation } from '../../policy/explain.ts';
import type { RuleReference } from '../../policy/verdict.ts';
import type { ExplainedCall } from '../explain-call.ts';
import type { FoundDecision } from '../find-decisions.ts';

/** The answer for a person: what it is, what decided, and for every other policy the first thing that did not fit. */
export function renderCall(explained: ExplainedCall): string {
  const { allowed, refusedByMtls, refusedUnread, call, mtls, explanation, notes, places, asks, tokens } = explained;
  const { policies } = explanation;
  const refused = refusedByMtls ?? refusedUnread;
  const missing = asks.find(({ inVain }) => inVain !== undefined);
  const verdict = missing === undefined ? explanation.judged : explanation.verdict;
  const lines: string[] = [];
  const request = call['method'] === undefined ? '' : ` ${call['method']} ${call['path']}`;
  lines.push(`${call['from']} -> ${call['to']} port ${call['port']} (${call['protocol']})${request}`);
  lines.push(`${allowed ? `ALLOWED${agreed(asks)}` : 'DENIED'}: ${refused ?? refusedFor(missing) ?? verdict.reason}`);
  if (refused === undefined && verdict.matched !== undefined)
    lines.push(...decision(verdict.matched, policies, places));
  if (refused === undefined) lines.push(...dryRunLine(explanation));
  const source = mtls.policy === undefined ? '' : ` by ${mtls.policy.namespace}/${mtls.policy.name}`;
  lines.push(`mTLS: ${mtls.mode} (${mtls.level}${source})`);
  lines.push(...asks.map(askLine), ...tokens.map(tokenLine));
  lines.push(...notes.map((note) => `note: ${note}`), ...storyOf(explanation));
  return lines.map((line) => `${line}\n`).join('');
}

/** Nobody but a provider knows what it will say. */
function agreed(asks: ExplainedCall['asks']): string {
  const names = asks.map(({ provider }) => provider).join(' and ');
  return asks.length === 0
    ? ''
    : ` if ${asks.length === 1 ? 'provider' : 'providers'} ${names} ${asks.length === 1 ? 'agrees' : 'agree'}`;
}

function refusedFor(missing: ExplainedCall['asks'][number] | undefined): string | undefined {
  if (missing === undefined) return undefined;
  return `${ruleName(missing.rule)} matched, and ${missing.provider} ${missing.inVain}`;
}

function askLine({ provider, rule }: ExplainedCall['asks'][number]): string {
  return `asks: provider ${provider}, by ${ruleName(rule)}`;
}

function ruleName({ policy, rule, action }: RuleReference): string {
  return `rule ${rule} of ${action} policy ${policy.namespace}/${policy.name}`;
}

function tokenLine({ policy, issuer, audiences, places, required }: ExplainedCall['tokens'][number]): string {
  const of = issuer === '' ? 'of any issuer' : `of ${issuer}`;
  const audience = audiences.length === 0 ? '' : `, for ${audiences.join(' or ')}`;
  return `token ${of}${audience}, ${required ? 'required' : 'if there is one'}, in ${places.join(' or ')}: ${policy}`;
}

/** Decisions that sidecars made, each with its time, its caller and its story. */
export function renderDecisions(found: readonly FoundDecision[]): string {
  return found.map(renderDecision).join('\n');
}

function renderDecision({ workload, decision: told }: FoundDecision): string {
  const { time, requestId, call, verdict, explanation, notes } = told;
  const from = call.from ?? 'nobody (plaintext)';
  const lines = [
    `${call.protocol === 'tcp' ? 'connection' : 'request'} ${requestId} at ${time}`,
    `${from} (${call.sourceIp}) -> ${workload} port ${call.port} ${whatOf(call)}`,
    `${verdict.allow ? 'ALLOWED' : 'DENIED'}: ${verdict.reason}`,
    ...(explanation?.verdict.matched === undefined
      ? []
      : decision(explanation.verdict.matched, explanation.policies, {})),
    ...(explanation === undefined ? [] : dryRunLine(explanation)),
    ...notes.map((note) => `note: ${note}`),
    ...(explanation === undefined ? [] : storyOf(explanation)),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** What enforcing the dry runs would change, or that it would change nothing. */
function dryRunLine({ judged, dryRun }: Explanation): string[] {
  if (dryRun === undefined) return [];
  const word = `${dryRun.allow === judged.allow ? 'still ' : ''}${dryRun.allow ? 'ALLOWED' : 'DENIED'}`;
  return [`with the dry runs in force: ${word}: ${dryRun.reason}`];
}

function whatOf({ protocol, method, path }: FoundDecision['decision']['call']): string {
  return protocol === 'tcp' ? '(tcp)' : `${method} ${path}`;
}

function storyOf({ policies, notApplied }: Explanation): string[] {
  return [
    ...(policies.length > 0 ? ['', 'policies of this workload:'] : []),
    ...policies.flatMap(policyLines),
    ...(notApplied.length > 0 ? ['', 'policies that are not for it:'] : []),
    ...notApplied.map(({ policy, reason }) => `  ${policy.namespace}/${policy.name}: ${PASSED[reason]}`),
  ];
}

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
function asked({ field, attribute, wanted, negated, got }: AskedCondition): string {
  const shown = wanted.slice(0, 8).map((value) => JSON.stringify(value));
  const more = wanted.length > shown.length ? ` and ${wanted.length - shown.length} more` : '';
  const values = `${shown.join(' or ')}${more}`;
  // A `when` says only by its key what it asks for.
  const name = field.startsWith('when') ? `${field} (${attribute})` : field;
  return `${name}: ${negated ? 'wanted none of' : 'wanted'} ${values}, got ${got === undefined ? 'nothing' : JSON.stringify(got)}`;
}
