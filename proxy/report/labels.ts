/** The labels that say who speaks with whom, in Istio's order. */
export const EDGE_LABELS = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_service_name',
  'destination_service_namespace',
  'destination_cluster',
] as const;

export const HTTP_LABELS = [
  ...EDGE_LABELS,
  'request_protocol',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const;

export const TCP_LABELS = [...EDGE_LABELS, 'request_protocol', 'response_flags', 'connection_security_policy'] as const;

/** Istio's word for what is not known. Dashboards and Kiali look for it. */
export const UNKNOWN = 'unknown';
