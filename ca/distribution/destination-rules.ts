import { isExportedTo } from '../../src/resources/choose-destination-rule.ts';
import { parseDestinationRule, type DestinationRule } from '../../src/resources/destination-rule.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { selects } from '../../src/policy/workload-selector.ts';
import type { Audience } from './applicable.ts';

const rules = new WeakMap<Resource, DestinationRule>();

/** Whether a rule of a service's own namespace is for any service there. */
export type LeadsSomewhere = (rule: DestinationRule, namespace: string) => boolean;

/**
 * Whether a DestinationRule may count for calls of a workload: those of its own and of the root namespace, and those of
 * other namespaces for services there. Which of them counts for a call, its sidecar finds out.
 */
export function destinationRuleApplies(
  resource: Resource,
  { namespace, labels, rootNamespace }: Audience,
  leadsSomewhere: LeadsSomewhere,
): boolean {
  const rule = destinationRuleOf(resource);
  if (rule === undefined || rule.exportTo.includes('~')) return false;
  if (resource.namespace === namespace) return isFor(rule, labels);
  // A selector means callers of its own namespace.
  if (rule.workloadSelector !== undefined) return false;
  if (!isExportedTo({ rule, namespace: resource.namespace }, namespace)) return false;
  return resource.namespace === rootNamespace || leadsSomewhere(rule, resource.namespace);
}

export function destinationRuleOf(resource: Resource): DestinationRule | undefined {
  const known = rules.get(resource) ?? parseDestinationRule(resource).value;
  if (known !== undefined) rules.set(resource, known);
  return known;
}

function isFor({ workloadSelector }: DestinationRule, labels: Audience['labels']): boolean {
  return workloadSelector === undefined || selects(new Map(Object.entries(workloadSelector)), labels);
}
