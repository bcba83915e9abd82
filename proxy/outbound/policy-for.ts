import { chooseTrafficPolicy } from '../../src/resources/choose-destination-rule.ts';
import { destinationPolicyOf, type DestinationPolicy } from '../../src/resources/destination-policy.ts';
import type { Service } from '../agent/destination.ts';
import type { SidecarConfig } from '../agent/sidecar-config.ts';

/** The DestinationRule in force for calls of this sidecar's workload to a port of a service. */
export function policyFor(config: SidecarConfig, service: Service, port: number): DestinationPolicy {
  const { workload, rootNamespace, destinationRules } = config;
  const caller = { namespace: workload.namespace, labels: workload.labels, rootNamespace };
  return destinationPolicyOf(chooseTrafficPolicy(destinationRules, caller, service), port);
}
