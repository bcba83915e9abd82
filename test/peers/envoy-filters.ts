import type { PathNormalization } from '../../src/policy/path-normalization.ts';
import type { FilterName, Rbac } from './istio-rbac.ts';
import { ISSUERS, KEY_SET, SPACE_DELIMITED } from './policy-tokens.ts';

/** One address that Envoy listens at for HTTP, and how it reads requests there. */
export interface HttpListener {
  readonly ip: string;
  readonly port: number;
  readonly normalization: PathNormalization;
  /** Proxies before it whose word about the client counts, beside the direct peer. */
  readonly trustedHops: number;
}

export const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const HTTP_RBAC = type('extensions.filters.http.rbac.v3.RBAC');
const FILTERS: readonly FilterName[] = ['DRY_DENY', 'DRY_ALLOW', 'CUSTOM', 'AUDIT', 'DENY', 'ALLOW'];
/** A request names its policy set in a header that no policy asks for. */
export const SET_HEADER = 'x-policy-set';

/** One route for each set, with the filters of its policies; every route answers by itself. */
export function routeTable(sets: readonly (readonly Rbac[])[]): object {
  const perRoute = type('extensions.filters.http.rbac.v3.RBACPerRoute');
  return {
    '@type': type('config.route.v3.RouteConfiguration'),
    name: 'sets',
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: sets.map((filters, index) => ({
          match: { prefix: '/', headers: [{ name: SET_HEADER, string_match: { exact: `${index}` } }] },
          direct_response: { status: 200 },
          typed_per_filter_config: Object.fromEntries(
            filters.map((rules) => [rules.filter, { '@type': perRoute, rbac: httpRules(rules) }]),
          ),
        })),
      },
    ],
  };
}

/** Shadow rules tell which one matched, and decide nothing; those of ALLOW are there besides the ones that do. */
function httpRules({ filter, action, policies }: Rbac): object {
  const rules = { action, policies };
  if (filter === 'AUDIT' || filter === 'DENY') return { rules };
  const shadow = { shadow_rules: rules, shadow_rules_stat_prefix: `${filter.toLowerCase()}_` };
  return filter === 'ALLOW' ? { rules, ...shadow } : shadow;
}

/** As Istio has it (pilot/pkg/networking/core/listener.go), option by option. */
const NORMALIZATION: Readonly<Record<PathNormalization, object>> = {
  NONE: { normalize_path: false },
  BASE: { normalize_path: true },
  MERGE_SLASHES: { normalize_path: true, merge_slashes: true },
  DECODE_AND_MERGE_SLASHES: {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
  },
};

/** One provider for each issuer, as for three rules of one RequestAuthentication. */
function tokenFilter(): object {
  const providers = ISSUERS.map((issuer, index) => [
    `issuer-${index}`,
    {
      issuer,
      forward: true,
      payload_in_metadata: 'payload',
      normalize_payload_in_metadata: { space_delimited_claims: ['scope', 'permission', ...SPACE_DELIMITED] },
      local_jwks: { inline_string: KEY_SET },
    },
  ]);
  const requirements = [
    ...ISSUERS.map((_issuer, index) => ({ provider_name: `issuer-${index}` })),
    { allow_missing: {} },
  ];
  return {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': type('extensions.filters.http.jwt_authn.v3.JwtAuthentication'),
      providers: Object.fromEntries(providers),
      rules: [{ match: { prefix: '/' }, requires: { requires_any: { requirements } } }],
    },
  };
}

function shadowId(filter: FilterName): string {
  return `%DYNAMIC_METADATA(envoy.filters.http.rbac:${filter.toLowerCase()}_shadow_effective_policy_id)%`;
}

export function manager(routes: string, { normalization, trustedHops }: HttpListener): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'judge',
      ...NORMALIZATION[normalization],
      xff_num_trusted_hops: trustedHops,
      // X-Forwarded-For names the client, as behind a proxy that is trusted.
      use_remote_address: false,
      rds: { route_config_name: 'sets', config_source: { path_config_source: { path: routes } } },
      http_filters: [
        tokenFilter(),
        ...FILTERS.map((name) => ({ name, typed_config: { '@type': HTTP_RBAC } })),
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': type('extensions.filters.http.router.v3.Router') },
        },
      ],
      local_reply_config: {
        body_format: {
          text_format_source: {
            inline_string: [
              '%RESPONSE_CODE_DETAILS%',
              shadowId('ALLOW'),
              '%DYNAMIC_METADATA(envoy.common:access_log_hint)%',
              ...(['CUSTOM', 'DRY_DENY', 'DRY_ALLOW'] as const).map(shadowId),
            ].join(' '),
          },
        },
      },
    },
  };
}

export function tcpFilters(filters: readonly Rbac[]): object[] {
  // A provider that agrees, and a dry run, change nothing.
  const deciding = filters.filter(({ filter }) => filter === 'AUDIT' || filter === 'DENY' || filter === 'ALLOW');
  return [
    ...deciding.map(({ filter, action, policies }) => ({
      name: filter,
      typed_config: {
        '@type': type('extensions.filters.network.rbac.v3.RBAC'),
        stat_prefix: 'tcp',
        rules: { action, policies },
      },
    })),
    { name: 'envoy.filters.network.echo', typed_config: { '@type': type('extensions.filters.network.echo.v3.Echo') } },
  ];
}
