import type { Resource } from './resource.ts';
import type { WorkloadEntry } from './workload-entry.ts';

/**
 * The labels that a WorkloadEntry's workload has: those of its spec, and those of its metadata, which win
 * (Istio, serviceentry/conversion.go). Selectors of policies, services and Sidecars are compared with them.
 */
export function workloadLabels(
  { labels }: Pick<Resource, 'labels'>,
  entry: Pick<WorkloadEntry, 'labels'>,
): Readonly<Record<string, string>> {
  return Object.freeze({ ...entry.labels, ...labels });
}
