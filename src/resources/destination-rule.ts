import { isIP } from 'node:net';
import { anything, checkShape, fields, listOf, mapOf, optional, text, type Read } from '../config/field-schema.ts';
import { resolveRuleHost } from './destination-host.ts';
import { isDnsName, isWildcardName, NetworkingFindings } from './networking-value.ts';
import type { Resource } from './resource.ts';
import { checkTrafficPolicy, TRAFFIC_POLICY, type WrittenTrafficPolicy } from './traffic-policy.ts';
import type { ParsedSpec } from './typed-spec.ts';
import { unused } from './unused-traffic-policy.ts';
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
  workloadSelector: optional(fields({ matchLabels: optional(mapOf(text({ max: 63 }), { max: 256 })) })),
  // Istio's own place for what is not in its API yet.
  trafficPolicyExtensions: optional(anything()),
});

/** How a service is called. */
export interface DestinationRule {
  /** The whole name that is meant, in lower case; the first label may be or begin with `*`. */
  readonly host: string;
  readonly trafficPolicy: WrittenTrafficPolicy | undefined;
  /** Namespaces as they are written; none stands for all. */
  readonly exportTo: readonly string[];
  /** Labels of the callers that it is for; undefined for all. */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
}

/**
 * Reads a DestinationRule by the rules of Istio's webhook and CRD (istio/istio `pkg/config/validation`), and warns of
 * what no sidecar acts on.
 */
export function parseDestinationRule(resource: Pick<Resource, 'spec' | 'namespace'>): ParsedSpec<DestinationRule> {
  const { value, issues } = checkShape(DESTINATION_RULE, resource.spec, ['spec']);
  if (value === undefined) return { value, issues };
  const findings = new NetworkingFindings();
  const { host, trafficPolicy, exportTo = [], workloadSelector } = value;
  if (!isDnsName(host) && !isWildcardName(host) && isIP(host) === 0) {
    findings.error(
      'spec.host',
      'host_invalid',
      'not the name of a host',
      'write one such as catalog.shop.svc.cluster.local',
    );
  }
  checkExportTo(exportTo, findings);
  findings.selector(
    'spec.workloadSelector',
    workloadSelector === undefined ? undefined : { labels: workloadSelector.matchLabels },
    'matchLabels',
  );
  if (trafficPolicy !== undefined) checkTrafficPolicy(trafficPolicy, 'spec.trafficPolicy', findings);
  checkSubsets(value, findings);
  if (value.trafficPolicyExtensions !== undefined) unused('spec.trafficPolicyExtensions', findings);
  if (findings.issues.some(isError)) return { value: undefined, issues: findings.issues };
  const rule = Object.freeze({
    host: resolveRuleHost(host, resource.namespace),
    trafficPolicy,
    exportTo,
    workloadSelector: workloadSelector === undefined ? undefined : (workloadSelector.matchLabels ?? {}),
  });
  return { value: rule, issues: findings.issues };
}

function checkSubsets({ subsets = [] }: Read<typeof DESTINATION_RULE>, findings: NetworkingFindings): void {
  const names = new Set<string>();
  for (const [index, { name, labels, trafficPolicy }] of subsets.entries()) {
    const path = `spec.subsets[${index}]`;
    if (names.has(name)) findings.error(`${path}.name`, 'subset_duplicate', 'two subsets have this name', 'rename one');
    names.add(name);
    findings.labels(`${path}.labels`, labels);
    if (trafficPolicy !== undefined) checkTrafficPolicy(trafficPolicy, `${path}.trafficPolicy`, findings);
  }
  // A route has to name a subset, and there are no routes.
  if (subsets.length > 0) unused('spec.subsets', findings);
}

function checkExportTo(exportTo: readonly string[], findings: NetworkingFindings): void {
  for (const [index, to] of exportTo.entries()) {
    if (['*', '.', '~'].includes(to) || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(to)) continue;
    const remedy = 'write a namespace, or one of . * ~';
    findings.error(`spec.exportTo[${index}]`, 'export_invalid', 'not a namespace', remedy);
  }
}
