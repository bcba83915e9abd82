/** How the connections of one pool are made and kept. Durations in milliseconds. */
export interface UpstreamLimits {
  /** Requests on one connection; 0 for any number. */
  readonly maxRequests: number;
  /** TCP and TLS together; Istio's default is 10 s. */
  readonly connectTimeout: number;
  /**
   * How long an idle connection is kept. It must be shorter than the server's own, or requests run into its close: Node's
   * servers close after 5 s and announce it, gunicorn's after 2 s and do not.
   */
  readonly idleTimeout: number;
  /** How old a connection may be when it is lent again; 0 for any age. */
  readonly maxAge: number;
  /** Silence after which the system asks whether the other side is still there; 0 for never. */
  readonly keepAliveTime: number;
}

export const DEFAULT_UPSTREAM_LIMITS: UpstreamLimits = Object.freeze({
  maxRequests: 0,
  connectTimeout: 10_000,
  idleTimeout: 4_000,
  maxAge: 0,
  keepAliveTime: 0,
});
