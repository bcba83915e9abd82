import type { Clock, Timer } from '../../src/core/clock.ts';
import type { OutlierPolicy } from '../../src/resources/destination-policy.ts';
import type { ClusterCounts } from './cluster-counts.ts';
import type { EndpointHealth } from './endpoint-health.ts';
import type { UpstreamHost } from './upstream-host.ts';

/** Milliseconds that no ejection exceeds, unless the base is longer. Envoy's `max_ejection_time`. */
const LONGEST_EJECTION = 300_000;

/** Why a host is ejected, by Envoy's names. */
type Cause = 'consecutive_5xx' | 'consecutive_gateway_failure' | 'consecutive_local_origin_failure';

export interface OutlierDetectorOptions {
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  readonly counts: ClusterCounts;
  /** Called when a host was ejected or may be called again. */
  readonly onChange: () => void;
}

/**
 * Leaves hosts out that fail again and again, as Envoy's outlier detection does: at once when a count is reached, for the
 * base time as often as it was ejected lately, and looked at again every interval. Not more of them than the policy
 * allows; but where there are several, one always may be: ten percent of three is none.
 */
export class OutlierDetector {
  readonly #options: OutlierDetectorOptions;
  readonly #monitors = new Map<UpstreamHost, Monitor>();
  #policy: OutlierPolicy | undefined;
  #timer: Timer | undefined;

  constructor(options: OutlierDetectorOptions) {
    this.#options = options;
  }

  get ejected(): number {
    let ejected = 0;
    for (const host of this.#monitors.keys()) if (host.ejected) ejected += 1;
    return ejected;
  }

  /** Watches these hosts by this policy from now on; what was counted of those that stay is kept. */
  watch(hosts: readonly UpstreamHost[], policy: OutlierPolicy | undefined): void {
    this.#policy = policy;
    for (const host of this.#monitors.keys()) if (!hosts.includes(host) || policy === undefined) this.#forget(host);
    if (policy === undefined) return;
    for (const host of hosts) {
      let monitor = this.#monitors.get(host);
      if (monitor === undefined) {
        monitor = new Monitor((cause) => this.#eject(host, cause));
        this.#monitors.set(host, monitor);
        host.pool.health = monitor;
      }
      monitor.policy = policy;
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #forget(host: UpstreamHost): void {
    this.#monitors.delete(host);
    host.pool.health = undefined;
    host.ejected = false;
  }

  #eject(host: UpstreamHost, cause: Cause): void {
    const { clock, counts, onChange } = this.#options;
    const monitor = this.#monitors.get(host);
    if (host.ejected || monitor === undefined || this.#policy === undefined) return;
    const [ejected, all] = [this.ejected, this.#monitors.size];
    const within = (100 * (ejected + 1)) / all <= this.#policy.maxEjectionPercent;
    if (!within && (ejected > 0 || all === 1)) {
      counts.outlier_detection_ejections_overflow += 1;
      return;
    }
    host.ejected = true;
    monitor.ejectedAt = clock.elapsed();
    monitor.ejections += 1;
    counts.outlier_detection_ejections_enforced_total += 1;
    counts[`outlier_detection_ejections_enforced_${cause}`] += 1;
    this.#timer ??= clock.after(this.#policy.interval, this.#onInterval);
    onChange();
  }

  readonly #onInterval = (): void => {
    const { clock, onChange } = this.#options;
    this.#timer = undefined;
    const policy = this.#policy;
    if (policy === undefined) return;
    const longest = Math.max(LONGEST_EJECTION, policy.baseEjectionTime);
    let [again, changed] = [false, false];
    for (const [host, monitor] of this.#monitors) {
      if (host.ejected) {
        const time = Math.min(policy.baseEjectionTime * monitor.ejections, longest);
        if (clock.elapsed() - monitor.ejectedAt >= time) {
          host.ejected = false;
          changed = true;
        }
      } else if (monitor.ejections > 0) {
        // A whole interval in service.
        monitor.ejections -= 1;
      }
      again ||= host.ejected || monitor.ejections > 0;
    }
    if (again) this.#timer = clock.after(policy.interval, this.#onInterval);
    if (changed) onChange();
  };
}

/** Counts what one host does wrong, one after the other. */
class Monitor implements EndpointHealth {
  readonly #eject: (cause: Cause) => void;
  policy: OutlierPolicy | undefined;
  ejectedAt = 0;
  /** How often it was ejected, less the intervals that it served since. */
  ejections = 0;
  #serverErrors = 0;
  #gatewayErrors = 0;
  #localFailures = 0;

  constructor(eject: (cause: Cause) => void) {
    this.#eject = eject;
  }

  onStatus(status: number): void {
    this.#localFailures = 0;
    this.#answered(status);
  }

  onConnected(): void {
    this.onStatus(200);
  }

  onConnectFailure(): void {
    this.#failed(503);
  }

  onReset(): void {
    this.#failed(503);
  }

  onTimeout(): void {
    this.#failed(504);
  }

  /** What this side finds out is counted as the status that the caller gets, unless it is told apart. */
  #failed(status: number): void {
    const { policy } = this;
    if (policy?.splitExternalLocalOriginErrors !== true) {
      this.#answered(status);
      return;
    }
    this.#localFailures += 1;
    if (this.#localFailures !== policy.consecutiveLocalOriginFailures) return;
    this.#localFailures = 0;
    this.#eject('consecutive_local_origin_failure');
  }

  #answered(status: number): void {
    if (status < 500) {
      this.#serverErrors = 0;
      this.#gatewayErrors = 0;
      return;
    }
    const { policy } = this;
    this.#gatewayErrors = status >= 502 && status <= 504 ? this.#gatewayErrors + 1 : 0;
    this.#serverErrors += 1;
    if (this.#gatewayErrors > 0 && this.#gatewayErrors === policy?.consecutiveGatewayErrors) {
      this.#gatewayErrors = 0;
      this.#eject('consecutive_gateway_failure');
    }
    if (this.#serverErrors === policy?.consecutive5xxErrors) {
      this.#serverErrors = 0;
      this.#eject('consecutive_5xx');
    }
  }
}
