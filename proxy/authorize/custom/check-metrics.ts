import type { Count, Distribution, Metrics } from '../../../src/observe/metrics.ts';

/** By Envoy's names of what ext_authz counts. */
export type CheckResult = 'ok' | 'denied' | 'error' | 'failure_mode_allowed' | 'cancelled';

export interface CheckMetrics {
  /** @param duration milliseconds from the question to its answer */
  count(provider: string, result: CheckResult, duration: number): void;
}

/** Milliseconds; those of Istio's request durations as far as they matter for a check. */
const BUCKETS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

export function createCheckMetrics(metrics: Metrics): CheckMetrics {
  const checks = metrics.counter(
    'sealwright_ext_authz_checks_total',
    'Questions to external authorization providers, by what came of them.',
    ['provider', 'result'],
  );
  const durations = metrics.histogram(
    'sealwright_ext_authz_check_duration_milliseconds',
    'Milliseconds that external authorization providers took to answer.',
    BUCKETS,
    ['provider'],
  );
  const counts = new Map<string, Count>();
  const distributions = new Map<string, Distribution>();
  return {
    count: (provider, result, duration) => {
      const key = `${result} ${provider}`;
      let count = counts.get(key);
      if (count === undefined) {
        count = checks.of(provider, result);
        counts.set(key, count);
      }
      let distribution = distributions.get(provider);
      if (distribution === undefined) {
        distribution = durations.of(provider);
        distributions.set(provider, distribution);
      }
      count.add(1);
      distribution.observe(duration);
    },
  };
}
