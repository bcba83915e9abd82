import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { ConditionContext } from './attribute-test.ts';
import type { Condition, Rule } from './authorization-policy.ts';
import { pathLeadsOf, type PathLead } from './path-lead.ts';
import { parseServiceAccount } from './service-account-reference.ts';
import { segmentsOf } from './spiffe-segments.ts';
import { parseStringPattern } from './string-pattern.ts';
import { expandPrincipal } from './trust-domain-aliases.ts';

/** Texts by which a rule is found: it cannot match where none of them is there. */
export interface RuleAnchors {
  /** Of the identities that can match; nothing where anybody's can. */
  readonly identities: readonly string[] | undefined;
  /** Of the requests that can match; nothing where every one's can. */
  readonly requests: RequestAnchors | undefined;
}

export interface RequestAnchors {
  readonly paths: readonly PathLead[];
  /** In lower case. */
  readonly hosts: readonly string[];
}

/** The anchors of one rule; of requests only where there are any, that is for HTTP. */
export function anchorsOf(rule: Rule, context: ConditionContext, http: boolean): RuleAnchors {
  const sources = rule.from.length === 0 ? undefined : anchorsOfAll(rule.from, context);
  return {
    identities: sources ?? identityAnchor(rule.when, context),
    requests: http ? requestAnchors(rule) : undefined,
  };
}

/** The texts under which a rule for this identity can be found. */
export function anchorsOfIdentity(identity: SpiffeId): readonly string[] {
  const { workload, trustDomain, path } = identity;
  const principal = `p:${trustDomain}${path}`;
  if (workload !== undefined) {
    const { namespace, serviceAccount } = workload;
    return [principal, `a:${namespace}/${serviceAccount}`, `n:${namespace}`];
  }
  const segments = segmentsOf(identity);
  const behind = (key: string): string[] => [...new Set(segments.filter((_, index) => segments[index - 1] === key))];
  const namespaces = behind('ns');
  const accounts = behind('sa');
  return [
    principal,
    ...namespaces.flatMap((namespace) => accounts.map((account) => `a:${namespace}/${account}`)),
    ...namespaces.map((namespace) => `n:${namespace}`),
  ];
}

function anchorsOfAll(
  sources: readonly (readonly Condition[])[],
  context: ConditionContext,
): readonly string[] | undefined {
  const all = new Set<string>();
  for (const source of sources) {
    const anchors = identityAnchor(source, context);
    if (anchors === undefined) return undefined;
    for (const anchor of anchors) all.add(anchor);
  }
  return [...all];
}

/** Of conditions that must all hold, one is enough: the one that fewest identities meet. */
function identityAnchor(conditions: readonly Condition[], context: ConditionContext): readonly string[] | undefined {
  let best: readonly string[] | undefined;
  for (const { attribute, values, negated } of conditions) {
    if (negated) continue;
    if (attribute.name === 'source.principal') {
      const names = values.flatMap((value) => expandPrincipal(value, context.trustDomains));
      if (names.every((name) => parseStringPattern(name).kind === 'exact'))
        return [...new Set(names)].map((name) => `p:${name}`);
    } else if (attribute.name === 'source.serviceAccount') {
      const accounts = values.map((value) => {
        const { namespace, serviceAccount } = parseServiceAccount(value, context.namespace);
        return `a:${namespace}/${serviceAccount}`;
      });
      best = [...new Set(accounts)];
    } else if (attribute.name === 'source.namespace') {
      if (!values.some((value) => value.includes('*'))) best ??= [...new Set(values)].map((value) => `n:${value}`);
    }
  }
  return best;
}

/** By paths where every operation names their beginnings, else by whole hosts. */
function requestAnchors(rule: Rule): RequestAnchors | undefined {
  const paths = pathLeadsOf(rule);
  if (paths !== undefined) return { paths: distinct(paths), hosts: [] };
  const hosts: string[] = [];
  for (const operation of rule.to) {
    const named = operation.find(({ attribute, negated }) => attribute.name === 'request.host' && !negated);
    if (named === undefined) return undefined;
    if (named.values.some((value) => parseStringPattern(value).kind !== 'exact')) return undefined;
    hosts.push(...named.values.map((value) => value.toLowerCase()));
  }
  return hosts.length === 0 ? undefined : { paths: [], hosts: [...new Set(hosts)] };
}

function distinct(leads: readonly PathLead[]): readonly PathLead[] {
  if (leads.length === 1) return leads;
  return leads.filter(
    (lead, index) => leads.findIndex(({ text, whole }) => text === lead.text && whole === lead.whole) === index,
  );
}
