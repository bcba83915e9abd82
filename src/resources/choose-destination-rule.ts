import { ruleHostFits } from './destination-host.ts';
import type { DestinationRule } from './destination-rule.ts';
import type { WrittenTrafficPolicy } from './traffic-policy.ts';

/** A rule and where it stands. */
export interface PlacedRule {
  readonly namespace: string;
  readonly name: string;
  /** Wall milliseconds; of two rules that say different things the older counts. */
  readonly creationTimestamp: number;
  readonly rule: DestinationRule;
}

export interface Caller {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rootNamespace: string;
}

/** Whether a namespace may know of a rule. */
export function isExportedTo({ rule, namespace }: Pick<PlacedRule, 'rule' | 'namespace'>, to: string): boolean {
  const { exportTo } = rule;
  return (
    exportTo.length === 0 ||
    exportTo.includes('*') ||
    exportTo.includes(to) ||
    (to === namespace && exportTo.includes('.'))
  );
}

/**
 * The rules in the order in which they are asked: oldest first, so that it does not matter in which order they came.
 */
export function inOrder(rules: Iterable<PlacedRule>): readonly PlacedRule[] {
  return [...rules].sort((a, b) => {
    return a.creationTimestamp - b.creationTimestamp || compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`);
  });
}

/**
 * The traffic policy for calls from a workload to a service: of the caller's namespace, else the service's, else the
 * root namespace's (Istio, `PushContext.destinationRule`); within one namespace of the rules with the nearest host; of
 * these the one that selects the caller, else the oldest that says anything.
 *
 * @param rules as `inOrder` puts them
 */
export function chooseTrafficPolicy(
  rules: readonly PlacedRule[],
  caller: Caller,
  service: { readonly namespace: string; readonly hostname: string },
): WrittenTrafficPolicy | undefined {
  for (const place of new Set([caller.namespace, service.namespace, caller.rootNamespace])) {
    const nearest = nearestOf(rules, service.hostname.toLowerCase(), (each) => {
      if (each.namespace !== place) return false;
      // A rule of the caller's own namespace is for it, whomever it is shown besides; `~` is for nobody.
      const own = place === caller.namespace && !each.rule.exportTo.includes('~');
      return own || isExportedTo(each, caller.namespace);
    });
    if (nearest.length > 0) return policyOf(nearest, caller);
  }
  return undefined;
}

function nearestOf(
  rules: readonly PlacedRule[],
  hostname: string,
  counts: (rule: PlacedRule) => boolean,
): readonly PlacedRule[] {
  let best: PlacedRule[] = [];
  let rank = -1;
  for (const each of rules) {
    const { host } = each.rule;
    if (!ruleHostFits(host, hostname) || !counts(each)) continue;
    const own = host === hostname ? Infinity : host.length;
    if (own > rank) [best, rank] = [[each], own];
    else if (own === rank) best.push(each);
  }
  return best;
}

/** Istio looks for a selecting rule in the caller's own namespace alone; there is one for others only without a selector. */
function policyOf(rules: readonly PlacedRule[], { namespace, labels }: Caller): WrittenTrafficPolicy | undefined {
  const selecting = rules.find(({ rule: { workloadSelector: selector }, namespace: own }) => {
    if (selector === undefined || own !== namespace) return false;
    return Object.entries(selector).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
  });
  if (selecting !== undefined) return selecting.rule.trafficPolicy;
  return rules.find(({ rule }) => rule.workloadSelector === undefined && rule.trafficPolicy !== undefined)?.rule
    .trafficPolicy;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
