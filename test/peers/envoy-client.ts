/** How an Envoy calls one workload of the mesh, as Istio configures its own. */
export interface EnvoyClientOptions {
  /** Where the workload's sidecar listens. */
  readonly upstream: { readonly address: string; readonly port: number };
  /** A file with Envoy's `Secret` for its own certificate (SDS from a path). */
  readonly secretFile: string;
  readonly rootsFile: string;
  /** The identity that must answer. */
  readonly expected: string;
  /** How many calls a connection carries. */
  readonly callsPerConnection?: number;
}

const type = (name: string): string => `type.googleapis.com/${name}`;

/** A plaintext listener `calls` at a free port of loopback, which leads to the workload by mutual TLS. */
export function envoyClient(options: EnvoyClientOptions): string {
  const { upstream, secretFile, rootsFile, expected, callsPerConnection } = options;
  const tls = {
    '@type': type('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
    common_tls_context: {
      // Without this an Envoy as a client goes no further than TLS 1.2.
      tls_params: { tls_maximum_protocol_version: 'TLSv1_3' },
      alpn_protocols: ['istio-http/1.1', 'istio', 'http/1.1'],
      tls_certificate_sds_secret_configs: [
        { name: 'default', sds_config: { path_config_source: { path: secretFile }, resource_api_version: 'V3' } },
      ],
      validation_context: {
        trusted_ca: { filename: rootsFile },
        match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: expected } }],
      },
    },
  };
  const manager = {
    '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'calls',
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'workload', timeout: '5s' } }],
        },
      ],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') },
      },
    ],
  };
  const address = (at: string, port: number): object => ({ socket_address: { address: at, port_value: port } });
  return JSON.stringify({
    admin: { address: address('127.0.0.1', 0) },
    node: { id: 'client', cluster: 'client' },
    static_resources: {
      listeners: [
        {
          name: 'calls',
          address: address('127.0.0.1', 0),
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [
        {
          name: 'workload',
          type: 'STATIC',
          connect_timeout: '5s',
          ...(callsPerConnection === undefined ? {} : { max_requests_per_connection: callsPerConnection }),
          transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
          load_assignment: {
            cluster_name: 'workload',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream.address, upstream.port) } }] }],
          },
        },
      ],
    },
  });
}

/** Envoy's own certificate as a resource of SDS. */
export function envoySecret({ keyPem, chainPem }: { readonly keyPem: string; readonly chainPem: string }): string {
  return JSON.stringify({
    resources: [
      {
        '@type': type('envoy.extensions.transport_sockets.tls.v3.Secret'),
        name: 'default',
        tls_certificate: { certificate_chain: { inline_string: chainPem }, private_key: { inline_string: keyPem } },
      },
    ],
  });
}
