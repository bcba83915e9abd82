import type { Count, Metrics } from '../../src/observe/metrics.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';

/** The counters of the control stream, under the names that Istio's dashboards read. */
export interface DistributionMetrics {
  /** A push that a subscriber answered, by type. */
  pushed(typeUrl: string): Count;
  /** A push that a subscriber refused, by type. */
  rejected(typeUrl: string): Count;
  readonly refused: Count;
}

const TYPE_NAMES: ReadonlyMap<string, string> = new Map(
  Object.values(CONTROL_TYPES).map((typeUrl) => [typeUrl, typeUrl.slice(typeUrl.lastIndexOf('/') + 1)]),
);

export function createDistributionMetrics(metrics: Metrics, streams: () => number): DistributionMetrics {
  metrics.gauge('pilot_xds', 'Sidecars that are connected to the control stream.', streams);
  const pushes = metrics.counter('pilot_xds_pushes', 'Pushes that a sidecar answered, by type.', ['type']);
  const rejects = metrics.counter('pilot_total_xds_rejects', 'Pushes that a sidecar refused, by type.', ['type']);
  const refused = metrics.counter('pilot_xds_auth_failures', 'Subscribers that were not let in.').of();
  // A subscriber chooses the name of the type, so that any other name shares one series.
  const nameOf = (typeUrl: string): string => TYPE_NAMES.get(typeUrl) ?? 'other';
  return {
    pushed: (typeUrl) => pushes.of(nameOf(typeUrl)),
    rejected: (typeUrl) => rejects.of(nameOf(typeUrl)),
    refused,
  };
}
