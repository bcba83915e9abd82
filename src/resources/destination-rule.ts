import { anything, checkShape, fields, listOf, mapOf, optional, text } from '../config/field-schema.ts';
import { isDnsName, isWildcardName, NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import { WORKLOAD_SELECTOR } from './service-entry.ts';
import { checkTrafficPolicy, TRAFFIC_POLICY, type WrittenTrafficPolicy } from './traffic-policy.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { isError } from './workload-entry.ts';

const SUBSET = fields({
  name: text({ min: 1, max: 253 }),
  labels: optional(mapOf(text({ max: 63 }), { max: 256 })),
  trafficPolicy: optional(TRAFFIC_POLICY),
});

const DESTINATION_RULE = fields({
  host: text({ min: 1, max: 255 }),
  trafficPolicy: optional(TRAFFIC_POLICY),
  subsets: optional(listOf(SUBSET, { max: 256 })),
  exportTo: optional(listOf(text({ max: 63 }), { max: 256 })),
  workloadSelector: optional(WORKLOAD_SELECTOR),
  // Istio's own place for what is not in its API yet.
  trafficPolicyExtensions: optional(anything()),
});

/** How a service is called: fields as Istio's API has them. */
export interface DestinationRule {
  readonly host: string;
  readonly trafficPolicy: WrittenTrafficPolicy | undefined;
}

/**
 * Reads a DestinationRule by the rules of Istio's webhook and CRD (istio/istio `pkg/config/validation`). It warns that
 * no sidecar acts on it: traffic that leaves as if the rule were not there must not be a surprise.
 */
export function parseDestinationRule(resource: Pick<Resource, 'spec'>): ParsedSpec<DestinationRule> {
  const { value, issues } = checkShape(DESTINATION_RULE, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  const { host, trafficPolicy, subsets = [], workloadSelector } = value;
  if (!isDnsName(host) && !isWildcardName(host)) {
    findings.error(
      'spec.host',
      'host_invalid',
      'not the name of a host',
      'write one such as catalog.shop.svc.cluster.local',
    );
  }
  findings.selector('spec.workloadSelector', workloadSelector);
  if (trafficPolicy !== undefined) checkTrafficPolicy(trafficPolicy, 'spec.trafficPolicy', findings);
  const names = new Set<string>();
  for (const [index, { name, labels, trafficPolicy: own }] of subsets.entries()) {
    const path = `spec.subsets[${index}]`;
    if (names.has(name)) findings.error(`${path}.name`, 'subset_duplicate', 'two subsets have this name', 'rename one');
    names.add(name);
    findings.labels(`${path}.labels`, labels);
    if (own !== undefined) checkTrafficPolicy(own, `${path}.trafficPolicy`, findings);
  }
  findings.warning(
    'kind',
    'destination_rule_not_enforced',
    'no sidecar acts on a DestinationRule yet: calls are made as if it were not there',
    'keep it for later; sidecars call each other by mutual TLS without it',
  );
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  return { value: Object.freeze({ host, trafficPolicy }), issues: findings.issues };
}
