import { isExportedTo } from '../../src/resources/choose-destination-rule.ts';
import { ruleHostFits } from '../../src/resources/destination-host.ts';
import { parseDestinationRule, type DestinationRule } from '../../src/resources/destination-rule.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { selects } from '../../src/policy/workload-selector.ts';
import type { Audience } from './applicable.ts';
import type { MeshService } from './service.ts';

const rules = new WeakMap<Resource, DestinationRule>();

/** Whether a rule of a service's own namespace is for any service there. */
export type LeadsSomewhere = (rule: DestinationRule, namespace: string) => boolean;

/** Answers for the services of one moment; each rule is looked up once, whoever asks. */
export function ruleTargets(services: readonly MeshService[]): LeadsSomewhere {
  const hosts = new Map<string, string[]>();
  for (const { namespace, hostname } of services) {
    const known = hosts.get(namespace);
    if (known === undefined) hosts.set(namespace, [hostname.toLowerCase()]);
    else known.push(hostname.toLowerCase());
  }
  const known = new WeakMap<DestinationRule, boolean>();
  return (rule, namespace) => {
    let leads = known.get(rule);
    if (leads === undefined) {
      leads = hosts.get(namespace)?.some((host) => ruleHostFits(rule.host, host)) ?? false;
      known.set(rule, leads);
    }
    return leads;
  };
}

/**
 * The DestinationRules that may count for calls of a workload: those of its own and of the root namespace, and those of
 * other namespaces for services there. Which of them counts for a call, its sidecar finds out.
 */
export function destinationRulesFor(
  snapshot: ResourceSnapshot,
  { namespace, labels, rootNamespace }: Audience,
  leadsSomewhere: LeadsSomewhere,
): Resource[] {
  return snapshot.list('DestinationRule').filter((resource) => {
    const rule = ruleOf(resource);
    if (rule === undefined || rule.exportTo.includes('~')) return false;
    if (resource.namespace === namespace) return isFor(rule, labels);
    // A selector means callers of its own namespace.
    if (rule.workloadSelector !== undefined) return false;
    if (!isExportedTo({ rule, namespace: resource.namespace }, namespace)) return false;
    return resource.namespace === rootNamespace || leadsSomewhere(rule, resource.namespace);
  });
}

function isFor({ workloadSelector }: DestinationRule, labels: Audience['labels']): boolean {
  return workloadSelector === undefined || selects(new Map(Object.entries(workloadSelector)), labels);
}

function ruleOf(resource: Resource): DestinationRule | undefined {
  const known = rules.get(resource) ?? parseDestinationRule(resource).value;
  if (known !== undefined) rules.set(resource, known);
  return known;
}
