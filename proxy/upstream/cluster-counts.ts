/** What is counted of one destination, by the ends of Envoy's names for it (`envoy_cluster_…`). */
export interface ClusterCounts {
  upstream_cx_total: number;
  upstream_cx_connect_fail: number;
  upstream_cx_connect_timeout: number;
  upstream_cx_overflow: number;
  upstream_cx_none_healthy: number;
  upstream_rq_total: number;
  upstream_rq_pending_total: number;
  upstream_rq_pending_overflow: number;
  upstream_rq_retry: number;
  upstream_rq_retry_success: number;
  upstream_rq_retry_overflow: number;
  upstream_rq_retry_limit_exceeded: number;
  outlier_detection_ejections_enforced_total: number;
  outlier_detection_ejections_enforced_consecutive_5xx: number;
  outlier_detection_ejections_enforced_consecutive_gateway_failure: number;
  outlier_detection_ejections_enforced_consecutive_local_origin_failure: number;
  outlier_detection_ejections_overflow: number;
}

export function createCounts(): ClusterCounts {
  return {
    upstream_cx_total: 0,
    upstream_cx_connect_fail: 0,
    upstream_cx_connect_timeout: 0,
    upstream_cx_overflow: 0,
    upstream_cx_none_healthy: 0,
    upstream_rq_total: 0,
    upstream_rq_pending_total: 0,
    upstream_rq_pending_overflow: 0,
    upstream_rq_retry: 0,
    upstream_rq_retry_success: 0,
    upstream_rq_retry_overflow: 0,
    upstream_rq_retry_limit_exceeded: 0,
    outlier_detection_ejections_enforced_total: 0,
    outlier_detection_ejections_enforced_consecutive_5xx: 0,
    outlier_detection_ejections_enforced_consecutive_gateway_failure: 0,
    outlier_detection_ejections_enforced_consecutive_local_origin_failure: 0,
    outlier_detection_ejections_overflow: 0,
  };
}
