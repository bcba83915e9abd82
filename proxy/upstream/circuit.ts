import { createCounts, type ClusterCounts } from './cluster-counts.ts';

/** What may be open to a destination at once, over all its endpoints. */
export interface CircuitLimits {
  /** Open connections, idle ones and those still connecting included. Istio's default is none: 2^32-1. */
  readonly maxConnections: number;
  /** Requests that wait for a connection that is not there yet. */
  readonly maxPending: number;
  /** Requests under way. */
  readonly maxActive: number;
}

export const DEFAULT_CIRCUIT_LIMITS: CircuitLimits = Object.freeze({
  maxConnections: Infinity,
  maxPending: Infinity,
  maxActive: Infinity,
});

/**
 * What the pools of one destination share: its bounds, and the numbers that they are held against. Whatever needs a sum
 * over the pools is summed when it is asked for, so that a request pays for nothing that nobody bounds.
 */
export class Circuit {
  limits: CircuitLimits;
  readonly counts: ClusterCounts;
  readonly pools = new Set<{ readonly load: number }>();
  /** Open connections, of opaque ones too. */
  connections = 0;
  /** Requests that wait for a connection that is not there yet. */
  pending = 0;
  /** Second tries under way. */
  retrying = 0;
  /** Opaque connections, which are under way for as long as they are open. */
  opaque = 0;

  constructor(limits: Partial<CircuitLimits> = {}, counts = createCounts()) {
    this.counts = counts;
    this.limits = { ...DEFAULT_CIRCUIT_LIMITS, ...limits };
  }

  /** Requests under way or waiting. */
  get active(): number {
    let active = this.opaque;
    for (const pool of this.pools) active += pool.load;
    return active;
  }

  /** Whether one more request is too many. */
  get full(): boolean {
    const { maxActive } = this.limits;
    return maxActive !== Infinity && this.active >= maxActive;
  }
}
