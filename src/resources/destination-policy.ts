import { parseDuration } from '../core/duration.ts';
import type { WrittenTrafficPolicy } from './traffic-policy.ts';

/** How calls find one of several endpoints. */
export type Balancing = 'LEAST_REQUEST' | 'ROUND_ROBIN' | 'RANDOM';

/** How calls are protected; `AUTO` is mutual TLS wherever the endpoint speaks it, as Istio's auto mTLS has it. */
export type DestinationTlsMode = 'AUTO' | 'DISABLE' | 'ISTIO_MUTUAL' | 'SIMPLE' | 'MUTUAL';

/** Bounds of what may be open to a destination at once; undefined where nothing is said. Durations in milliseconds. */
export interface DestinationConnections {
  readonly maxConnections: number | undefined;
  readonly connectTimeout: number | undefined;
  /** For opaque connections; that of HTTP is `httpIdleTimeout`. */
  readonly idleTimeout: number | undefined;
  readonly maxConnectionDuration: number | undefined;
  /** Silence after which the system asks whether the other side is still there. */
  readonly keepAliveTime: number | undefined;
  readonly maxPendingRequests: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxRequestsPerConnection: number | undefined;
  readonly maxRetries: number | undefined;
  readonly httpIdleTimeout: number | undefined;
}

/** When an endpoint is left out for a while. A count of 0 is never reached. Durations in milliseconds. */
export interface OutlierPolicy {
  readonly splitExternalLocalOriginErrors: boolean;
  readonly consecutive5xxErrors: number;
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveLocalOriginFailures: number;
  readonly interval: number;
  readonly baseEjectionTime: number;
  readonly maxEjectionPercent: number;
  /** Below this share of healthy endpoints all of them are called. */
  readonly minHealthPercent: number;
}

/** How many of the calls under way may be second tries. */
export interface RetryBudget {
  readonly percent: number;
  readonly minConcurrency: number;
}

/** A DestinationRule's traffic policy for one port, with Istio's defaults where it says nothing. */
export interface DestinationPolicy {
  readonly balancing: Balancing;
  readonly tls: { readonly mode: DestinationTlsMode; readonly sni: string | undefined };
  readonly connections: DestinationConnections;
  readonly outliers: OutlierPolicy | undefined;
  /** Undefined where the rule says nothing of it. */
  readonly retryBudget: RetryBudget | undefined;
}

/** Envoy's own. */
const DEFAULT_BUDGET: RetryBudget = Object.freeze({ percent: 20, minConcurrency: 3 });

/**
 * The policy in force at a port. A port's own settings take the place of the whole of the others: what they leave out
 * has its default and is not taken over (Istio, `PortTrafficPolicy`).
 */
export function destinationPolicyOf(written: WrittenTrafficPolicy | undefined, port: number): DestinationPolicy {
  const own = written?.portLevelSettings?.find((settings) => settings.port?.number === port);
  const { loadBalancer, connectionPool, outlierDetection, tls } = own ?? written ?? {};
  const { tcp = {}, http = {} } = connectionPool ?? {};
  const budget = written?.retryBudget;
  return Object.freeze({
    balancing: balancingOf(loadBalancer?.simple),
    tls: Object.freeze({ mode: tls === undefined ? 'AUTO' : (tls.mode ?? 'DISABLE'), sni: tls?.sni }),
    connections: Object.freeze({
      maxConnections: bound(tcp.maxConnections),
      connectTimeout: milliseconds(tcp.connectTimeout),
      idleTimeout: milliseconds(tcp.idleTimeout),
      maxConnectionDuration: milliseconds(tcp.maxConnectionDuration),
      // Linux asks after two hours of silence where nothing else is said.
      keepAliveTime: tcp.tcpKeepalive === undefined ? undefined : (milliseconds(tcp.tcpKeepalive.time) ?? 7_200_000),
      maxPendingRequests: bound(http.http1MaxPendingRequests),
      maxRequests: bound(http.http2MaxRequests),
      maxRequestsPerConnection: bound(http.maxRequestsPerConnection),
      maxRetries: bound(http.maxRetries),
      httpIdleTimeout: milliseconds(http.idleTimeout),
    }),
    outliers: outlierDetection === undefined ? undefined : outlierPolicyOf(outlierDetection),
    retryBudget:
      budget === undefined
        ? undefined
        : Object.freeze({
            percent: budget.percent ?? DEFAULT_BUDGET.percent,
            minConcurrency: budget.minRetryConcurrency ?? DEFAULT_BUDGET.minConcurrency,
          }),
  });
}

/** What is in force where no rule is. */
export const DEFAULT_DESTINATION_POLICY: DestinationPolicy = destinationPolicyOf(undefined, 0);

/** The names that have no meaning of their own here come to the default, as `LEAST_CONN` does in Istio. */
function balancingOf(simple: string | undefined): Balancing {
  return simple === 'ROUND_ROBIN' || simple === 'RANDOM' ? simple : 'LEAST_REQUEST';
}

function outlierPolicyOf(written: NonNullable<WrittenTrafficPolicy['outlierDetection']>): OutlierPolicy {
  const split = written.splitExternalLocalOriginErrors ?? false;
  return Object.freeze({
    splitExternalLocalOriginErrors: split,
    consecutive5xxErrors: written.consecutive5xxErrors ?? 5,
    consecutiveGatewayErrors: written.consecutiveGatewayErrors ?? 0,
    // Counted only where they are told apart from what the endpoint itself answers.
    consecutiveLocalOriginFailures: split ? (written.consecutiveLocalOriginFailures ?? 5) : 0,
    interval: milliseconds(written.interval) ?? 10_000,
    baseEjectionTime: milliseconds(written.baseEjectionTime) ?? 30_000,
    maxEjectionPercent: bound(written.maxEjectionPercent) ?? 10,
    minHealthPercent: written.minHealthPercent ?? 0,
  });
}

/** 0 says nothing, as in every message of protobuf. */
function bound(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}

function milliseconds(written: string | undefined): number | undefined {
  return written === undefined ? undefined : parseDuration(written);
}
