import { writeFileSync } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { RunningEnvoy } from '../fakes/running-envoy.ts';
import type { PathNormalization } from '../../src/policy/path-normalization.ts';
import type { FilterName, Rbac } from './istio-rbac.ts';
import { ISSUERS, KEY_SET, SPACE_DELIMITED, TOKENS } from './policy-tokens.ts';

/** How a call reaches Envoy. */
export interface PeerConnection {
  /** A SPIFFE ID; without one the call is in plaintext. */
  readonly principal: string | undefined;
  readonly sni: string | undefined;
  readonly sourceIp: string;
  readonly destination: { readonly ip: string; readonly port: number };
}

export interface PeerRequest {
  readonly method: string;
  /** As it is sent, query and fragment included. */
  readonly target: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Which of the tokens it has, if any. */
  readonly token?: number | undefined;
}

/** One address that Envoy listens at for HTTP, and how it reads requests there. */
export interface HttpListener {
  readonly ip: string;
  readonly port: number;
  readonly normalization: PathNormalization;
  /** Proxies before it whose word about the client counts, beside the direct peer. */
  readonly trustedHops: number;
}

export interface EnvoyAnswer {
  readonly status: number;
  /** `%RESPONSE_CODE_DETAILS%`, where the filters were reached. */
  readonly details: string;
  /** Of the ALLOW rule that matched; nothing if none did or none was asked. */
  readonly allowedBy: string | undefined;
  /** Whether an AUDIT rule matched. */
  readonly audited: boolean;
  /** The rules by which a provider would be asked, and those that a dry run of DENY and of ALLOW would have decided by. */
  readonly asked: string | undefined;
  readonly dryDeny: string | undefined;
  readonly dryAllow: string | undefined;
}

interface JudgeOptions {
  readonly program: string;
  readonly folder: string;
  /** One for each policy set: its filters. A request names its set in a header that no policy asks for. */
  readonly http: readonly (readonly Rbac[])[];
  readonly httpAt: readonly HttpListener[];
  /** One for each policy set; network filters know no routes, so each has a listener. */
  readonly tcp: readonly { readonly rbac: readonly Rbac[]; readonly at: PeerConnection['destination'] }[];
}

const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const HTTP_RBAC = type('extensions.filters.http.rbac.v3.RBAC');
const FILTERS: readonly FilterName[] = ['DRY_DENY', 'DRY_ALLOW', 'CUSTOM', 'AUDIT', 'DENY', 'ALLOW'];
const SET_HEADER = 'x-policy-set';

/** One Envoy that judges by many policy sets at once: it starts once, and takes thousands of calls. */
export class EnvoyJudge {
  readonly #envoy: RunningEnvoy;
  readonly #mesh: TestMesh;
  readonly #identities = new Map<string, Promise<TestIdentity>>();
  readonly #agents = new Map<string, Promise<HttpAgent | HttpsAgent>>();

  private constructor(envoy: RunningEnvoy, mesh: TestMesh) {
    this.#envoy = envoy;
    this.#mesh = mesh;
  }

  static async start({ program, folder, http, httpAt, tcp }: JudgeOptions): Promise<EnvoyJudge> {
    const mesh = await TestMesh.create();
    const server = await mesh.issue('spiffe://cluster.local/ns/shop/sa/server');
    const file = (name: string, content: string): string => {
      const path = join(folder, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    const tls = {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': type('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
        require_client_certificate: true,
        common_tls_context: {
          tls_certificates: [
            {
              certificate_chain: { filename: file('chain.pem', server.chainPem) },
              private_key: { filename: file('key.pem', server.keyPem) },
            },
          ],
          validation_context: { trusted_ca: { filename: file('roots.pem', server.rootsPem) } },
        },
      },
    };
    const routes = file('routes.json', JSON.stringify({ resources: [routeTable(http)] }));
    const listener = ({ ip, port }: PeerConnection['destination'], filters: readonly object[]): object => ({
      name: `${ip}:${port}`,
      address: { socket_address: { address: ip, port_value: port } },
      listener_filters: [
        {
          name: 'envoy.filters.listener.tls_inspector',
          typed_config: { '@type': type('extensions.filters.listener.tls_inspector.v3.TlsInspector') },
        },
      ],
      filter_chains: [
        { name: 'tls', filter_chain_match: { transport_protocol: 'tls' }, transport_socket: tls, filters },
        { name: 'plain', filter_chain_match: { transport_protocol: 'raw_buffer' }, filters },
      ],
    });
    const config = {
      node: { id: 'judge', cluster: 'judge' },
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
      layered_runtime: {
        // As Istio sets it: the fragment is cut off.
        layers: [{ name: 'l', static_layer: { 'envoy.reloadable_features.http_reject_path_with_fragment': false } }],
      },
      static_resources: {
        listeners: [
          ...httpAt.map((at) => listener(at, [manager(routes, at)])),
          ...tcp.map(({ rbac, at }) => listener(at, tcpFilters(rbac))),
        ],
      },
    };
    return new EnvoyJudge(await RunningEnvoy.start({ program, folder, config: JSON.stringify(config) }), mesh);
  }

  /** What Envoy answers to one request judged by one set. */
  async ask(set: number, connection: PeerConnection, request: PeerRequest): Promise<EnvoyAnswer> {
    const { ip, port } = connection.destination;
    const agent = await this.#agent(connection);
    const options = {
      host: ip,
      port,
      agent,
      method: request.method,
      path: request.target,
      setHost: false,
      headers: {
        host: request.host,
        'content-length': '0',
        [SET_HEADER]: `${set}`,
        ...mutable(request.headers),
        ...(request.token === undefined ? {} : { authorization: `Bearer ${TOKENS[request.token]?.text}` }),
      },
    };
    const sent = agent instanceof HttpsAgent ? httpsRequest(options) : httpRequest(options);
    const { promise, resolve, reject } = Promise.withResolvers<EnvoyAnswer>();
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => {
        const [details = '', allowedBy, audited, asked, dryDeny, dryAllow] = body.trim().split(' ');
        const named = (id: string | undefined): string | undefined => (id === '-' ? undefined : id);
        resolve({
          status: response.statusCode ?? 0,
          details,
          allowedBy: named(allowedBy),
          audited: audited === 'true',
          asked: named(asked),
          dryDeny: named(dryDeny),
          dryAllow: named(dryAllow),
        });
      });
    });
    sent.end();
    return promise;
  }

  /** Whether Envoy passes on what a connection sends. */
  async askTcp(connection: PeerConnection): Promise<boolean> {
    const { sourceIp, destination, principal } = connection;
    const where = { host: destination.ip, port: destination.port, localAddress: sourceIp };
    const socket: Socket =
      principal === undefined
        ? connectTcp(where)
        : connectTls({ ...where, ...(await this.#tlsOptions(principal, connection.sni)) });
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(false);
      else reject(error);
    });
    socket.on('data', () => resolve(true));
    socket.on('end', () => resolve(false));
    socket.on('close', () => resolve(false));
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer at ${JSON.stringify(connection)}`)));
    // Longer than what the TLS inspector waits for before it calls something plaintext.
    socket.write('is anybody there?');
    const passed = await promise;
    socket.destroy();
    return passed;
  }

  async stop(): Promise<void> {
    for (const agent of this.#agents.values()) (await agent).destroy();
    await this.#envoy.stop();
  }

  #agent(connection: PeerConnection): Promise<HttpAgent | HttpsAgent> {
    const key = JSON.stringify(connection);
    let made = this.#agents.get(key);
    if (made === undefined) {
      const { principal, sni, sourceIp } = connection;
      const common = { keepAlive: true, maxSockets: 1, localAddress: sourceIp };
      made =
        principal === undefined
          ? Promise.resolve(new HttpAgent(common))
          : this.#tlsOptions(principal, sni).then((tls) => new HttpsAgent({ ...common, ...tls }));
      this.#agents.set(key, made);
    }
    return made;
  }

  async #tlsOptions(principal: string, sni: string | undefined) {
    let identity = this.#identities.get(principal);
    if (identity === undefined) this.#identities.set(principal, (identity = this.#mesh.issue(principal)));
    const { keyPem, chainPem, rootsPem } = await identity;
    return {
      key: keyPem,
      cert: chainPem,
      ca: rootsPem,
      servername: sni ?? '',
      checkServerIdentity: () => undefined,
    };
  }
}

function mutable(headers: PeerRequest['headers']): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  );
}

/** One route for each set, with the filters of its policies; every route answers by itself. */
function routeTable(sets: JudgeOptions['http']): object {
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

function manager(routes: string, { normalization, trustedHops }: HttpListener): object {
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

function tcpFilters(filters: readonly Rbac[]): object[] {
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
