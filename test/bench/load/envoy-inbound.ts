/**
 * Envoy's configuration for the same work: downstream mTLS, RBAC by principal, method and path, XFCC, one cluster; or
 * for opaque TCP: mTLS, RBAC by principal, one cluster.
 */
export interface EnvoyInboundOptions {
  readonly upstreamPort: number;
  readonly keyFile: string;
  readonly chainFile: string;
  readonly rootsFile: string;
  readonly allowed: string;
  readonly protocol?: 'http' | 'tcp';
  /** What is allowed besides GET. */
  readonly methods?: readonly string[];
  /** Where it listens; at a free port of loopback unless said otherwise. */
  readonly listen?: { readonly address: string; readonly port: number };
}

/** As JSON, which Envoy reads as it reads YAML. Ports are 0: the listener's is asked from the admin interface. */
export function envoyInbound(options: EnvoyInboundOptions): string {
  const { upstreamPort, keyFile, chainFile, rootsFile, allowed, protocol = 'http', methods = ['GET'] } = options;
  const { listen = { address: '127.0.0.1', port: 0 } } = options;
  const type = (name: string): string => `type.googleapis.com/${name}`;
  const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const rbac = {
    name: 'envoy.filters.http.rbac',
    typed_config: {
      '@type': type('envoy.extensions.filters.http.rbac.v3.RBAC'),
      rules: {
        action: 'ALLOW',
        policies: {
          allowed: {
            permissions: [
              {
                and_rules: {
                  rules: [
                    {
                      or_rules: {
                        rules: methods.map((exact) => ({ header: { name: ':method', string_match: { exact } } })),
                      },
                    },
                    { url_path: { path: { prefix: '/api/' } } },
                  ],
                },
              },
            ],
            principals: [{ authenticated: { principal_name: { exact: allowed } } }],
          },
        },
      },
    },
  };
  const manager = {
    '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'inbound',
    normalize_path: true,
    forward_client_cert_details: 'APPEND_FORWARD',
    set_current_client_cert_details: { subject: true, uri: true, dns: true },
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app', timeout: '0s' } }] },
      ],
    },
    http_filters: [
      rbac,
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') },
      },
    ],
  };
  const opaque = [
    {
      name: 'envoy.filters.network.rbac',
      typed_config: {
        '@type': type('envoy.extensions.filters.network.rbac.v3.RBAC'),
        stat_prefix: 'inbound',
        rules: {
          action: 'ALLOW',
          policies: {
            allowed: {
              permissions: [{ any: true }],
              principals: [{ authenticated: { principal_name: { exact: allowed } } }],
            },
          },
        },
      },
    },
    {
      name: 'envoy.filters.network.tcp_proxy',
      typed_config: {
        '@type': type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
        stat_prefix: 'inbound',
        cluster: 'app',
      },
    },
  ];
  const filters =
    protocol === 'tcp' ? opaque : [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const tls = {
    '@type': type('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
    require_client_certificate: true,
    common_tls_context: {
      alpn_protocols: [protocol === 'tcp' ? 'istio' : 'http/1.1'],
      tls_certificates: [{ certificate_chain: { filename: chainFile }, private_key: { filename: keyFile } }],
      validation_context: { trusted_ca: { filename: rootsFile } },
    },
  };
  return JSON.stringify({
    admin: { address: address(0) },
    static_resources: {
      listeners: [
        {
          name: 'inbound',
          address: { socket_address: { address: listen.address, port_value: listen.port } },
          filter_chains: [
            {
              filters,
              transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
            },
          ],
        },
      ],
      clusters: [
        {
          name: 'app',
          type: 'STATIC',
          connect_timeout: '10s',
          load_assignment: {
            cluster_name: 'app',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstreamPort) } }] }],
          },
        },
      ],
    },
  });
}
