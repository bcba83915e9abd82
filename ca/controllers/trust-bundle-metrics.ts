import type { Metrics } from '../../src/observe/metrics.ts';

/** How a namespace stands: `published` holds our roots; `foreign` holds roots that we do not know, ours beside them. */
export const NAMESPACE_STATES = ['published', 'foreign', 'contested', 'failing'] as const;
export type NamespaceState = (typeof NAMESPACE_STATES)[number];

export interface TrustBundleMetrics {
  readonly written: (how: 'created' | 'repaired' | 'taken-over') => void;
  readonly contested: () => void;
  readonly failed: () => void;
}

/** @param countOf namespaces in that state; undefined where this process does not look after them */
export function createTrustBundleMetrics(
  metrics: Metrics,
  countOf: (state: NamespaceState) => number | undefined,
): TrustBundleMetrics {
  const writes = metrics.counter('sealwright_trust_bundle_writes_total', 'Trust bundles written, by why.', ['why']);
  for (const why of ['created', 'repaired', 'taken-over']) writes.of(why).add(0);
  const contested = metrics.counter(
    'sealwright_trust_bundle_contested_total',
    'Objects that another controller was found to write again and again.',
  );
  const failures = metrics.counter('sealwright_trust_bundle_failures_total', 'Trust bundles that were not written.');
  metrics.readGauge(
    'sealwright_trust_bundle_namespaces',
    'Namespaces by how their trust bundle stands; of the leader alone.',
    ['state'],
    () =>
      NAMESPACE_STATES.flatMap((state) => {
        const value = countOf(state);
        return value === undefined ? [] : [{ values: [state], value }];
      }),
  );
  return {
    written: (how) => writes.of(how).add(1),
    contested: () => contested.of().add(1),
    failed: () => failures.of().add(1),
  };
}
