import { strict as assert } from 'node:assert';
import { GrpcAuthorizationServer, HttpAuthorizationServer, type GrpcAnswer } from '../fakes/authorization-servers.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { requireEnvoy, RunningEnvoy } from '../fakes/running-envoy.ts';
import { custom, CustomWorld } from '../proxy/authorize/custom/custom-world.ts';
import { httpCall } from '../proxy/http-call.ts';

/** What a provider answers to both, and what is then compared. */
interface Case {
  readonly name: string;
  readonly headers?: Record<string, string>;
  readonly path?: string;
  readonly method?: string;
  readonly http: { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string };
}

const CASES: readonly Case[] = [
  {
    name: 'agrees',
    path: '/a?b=c',
    headers: { authorization: 'Basic x', 'x-in-a': '1', cookie: 'c=1' },
    http: { status: 200 },
  },
  {
    name: 'agrees with changes',
    headers: { 'x-up-a': 'client' },
    http: { status: 200, headers: { 'x-up-a': 'provider', 'x-down-a': 'd', 'x-other': 'o' } },
  },
  {
    name: 'takes fields away',
    headers: { authorization: 'Basic x' },
    http: { status: 200, headers: { 'x-envoy-auth-headers-to-remove': 'authorization' } },
  },
  { name: 'refuses', http: { status: 403 } },
  {
    name: 'refuses with words',
    http: {
      status: 401,
      headers: { 'www-authenticate': 'Basic', 'x-deny-a': 'd', 'x-other': 'o', 'content-type': 'application/json' },
      body: '{}',
    },
  },
  { name: 'sends elsewhere', http: { status: 302, headers: { location: 'http://login.example/' } } },
  { name: 'refuses a HEAD', method: 'HEAD', http: { status: 403 } },
  { name: 'answers 201', http: { status: 201 } },
  { name: 'fails', http: { status: 503, body: 'down' } },
];

/**
 * What differs on purpose, with its reason:
 * - A denial of HEAD: Envoy announces the provider's chunked body; ours says the length of what it would have sent.
 * - A value that is appended: Envoy joins it to the field, ours puts a line of its own behind it, which means the same
 *   (RFC 9110 5.3) and leaves the client's bytes as they are.
 */
const FRAMING = ['content-length', 'transfer-encoding'];
const JOINED = /, ?/g;

/** Said by Envoy's own client of itself, which ours has no use for. */
const ENVOYS_OWN = [
  'x-envoy-internal',
  'x-forwarded-for',
  'x-envoy-expected-rq-timeout-ms',
  'x-request-id',
  'x-forwarded-proto',
  'connection',
];

function type(name: string, more: object = {}): object {
  return { '@type': `type.googleapis.com/envoy.extensions.filters.${name}`, ...more };
}

function cluster(name: string, port: number, http2 = false): object {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  return {
    name,
    type: 'STATIC',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    ...(http2 ? { http2_protocol_options: {} } : {}),
  };
}

function envoyConfig(ports: { app: number; http: number; grpc: number }): string {
  const prefix = (text: string): object => ({ patterns: [{ prefix: text, ignore_case: true }] });
  const http = type('http.ext_authz.v3.ExtAuthz', {
    transport_api_version: 'V3',
    status_on_error: { code: 503 },
    allowed_headers: prefix('x-in-'),
    http_service: {
      server_uri: { uri: 'http://ext', cluster: 'http', timeout: '5s' },
      path_prefix: '/check',
      authorization_request: { headers_to_add: [{ key: 'x-from', value: 'mesh' }] },
      authorization_response: {
        allowed_upstream_headers: prefix('x-up-'),
        allowed_client_headers: prefix('x-deny-'),
        allowed_client_headers_on_success: prefix('x-down-'),
      },
    },
  });
  const grpc = type('http.ext_authz.v3.ExtAuthz', {
    transport_api_version: 'V3',
    status_on_error: { code: 503 },
    grpc_service: { envoy_grpc: { cluster_name: 'grpc' }, timeout: '5s' },
  });
  const listener = (name: string, filter: object): object => ({
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: type('network.http_connection_manager.v3.HttpConnectionManager', {
              stat_prefix: name,
              route_config: {
                virtual_hosts: [
                  { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] },
                ],
              },
              http_filters: [
                { name: 'envoy.filters.http.ext_authz', typed_config: filter },
                { name: 'envoy.filters.http.router', typed_config: type('http.router.v3.Router') },
              ],
            }),
          },
        ],
      },
    ],
  });
  return JSON.stringify({
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    static_resources: {
      listeners: [listener('byhttp', http), listener('bygrpc', grpc)],
      clusters: [cluster('app', ports.app), cluster('http', ports.http), cluster('grpc', ports.grpc, true)],
    },
  });
}

describe('external authorization behind Envoy and behind ours', () => {
  let world: CustomWorld;
  let http: HttpAuthorizationServer;
  let grpc: GrpcAuthorizationServer;
  let envoy: RunningEnvoy | undefined;
  let ports: Record<'byhttp' | 'bygrpc', { envoy: number; ours: number }>;

  before(async function () {
    this.timeout(30_000);
    const program = requireEnvoy(this);
    world = await CustomWorld.create();
    http = await HttpAuthorizationServer.start();
    grpc = await GrpcAuthorizationServer.start();
    const config = envoyConfig({ app: world.applicationPort, http: http.port, grpc: grpc.port });
    envoy = await RunningEnvoy.start({ program, config, folder: temporaryFolder(this) });
    const providers = [
      {
        name: 'http',
        envoyExtAuthzHttp: {
          service: '127.0.0.1',
          port: http.port,
          statusOnError: '503',
          pathPrefix: '/check',
          includeRequestHeadersInCheck: ['x-in-*'],
          includeAdditionalHeadersInCheck: { 'x-from': 'mesh' },
          headersToUpstreamOnAllow: ['x-up-*'],
          headersToDownstreamOnDeny: ['x-deny-*'],
          headersToDownstreamOnAllow: ['x-down-*'],
        },
      },
      { name: 'grpc', envoyExtAuthzGrpc: { service: '127.0.0.1', port: grpc.port, statusOnError: '503' } },
    ];
    const byHttp = await world.sidecar(world.config({ ask: custom('http') }, providers));
    const byGrpc = await world.sidecar(world.config({ ask: custom('grpc') }, providers));
    ports = {
      byhttp: { envoy: await envoy.port('byhttp'), ours: byHttp.inboundPort() },
      bygrpc: { envoy: await envoy.port('bygrpc'), ours: byGrpc.inboundPort() },
    };
  });

  after(async () => {
    await envoy?.stop();
    await http?.stop();
    grpc?.stop();
    await world?.end();
  });

  const without = (headers: object, names: readonly string[]): object =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));
  const call = async (port: number, { path = '/', method = 'GET', headers = {} }: Partial<Case>): Promise<object> => {
    world.seen.length = 0;
    const answer = await httpCall('127.0.0.1', port, { path, method, headers: { host: 'catalog', ...headers } });
    // Each names itself, and says how long it took in its own words.
    const got = without(answer.headers, [
      'server',
      'date',
      'x-envoy-upstream-service-time',
      'connection',
      'keep-alive',
      // Ours gives it to whoever is denied, so that the reason can be looked up; Envoy keeps it to itself.
      'x-request-id',
    ]);
    const application = world.seen.map(({ incoming }) => without(incoming.headers, ENVOYS_OWN));
    return {
      status: answer.status,
      body: answer.body,
      got: method === 'HEAD' ? without(got, FRAMING) : got,
      application: application.map((fields) =>
        Object.fromEntries(
          Object.entries(fields).map(([name, value]) => [name, String(value).replaceAll(JOINED, ',')]),
        ),
      ),
    };
  };

  for (const each of CASES) {
    it(`is the same where an HTTP provider ${each.name}`, async () => {
      const outcomes: object[] = [];
      http.answer = (_incoming, answer) => {
        answer.writeHead(each.http.status, each.http.headers);
        answer.end(each.http.body);
      };
      for (const port of [ports.byhttp.envoy, ports.byhttp.ours]) {
        http.seen.length = 0;
        const outcome = await call(port, each);
        const told = http.seen.map(({ incoming, body }) => [
          incoming.method,
          incoming.url,
          without(incoming.headers, ENVOYS_OWN),
          body,
        ]);
        outcomes.push({ ...outcome, told });
      }
      assert.deepEqual(outcomes[1], outcomes[0]);
    });
  }

  const header = (key: string, value: string, append?: boolean) => ({
    header: { key, value },
    ...(append === undefined ? {} : { append }),
  });
  const GRPC: Readonly<Record<string, GrpcAnswer>> = {
    agrees: { status: { code: 0 } },
    'agrees with changes': {
      status: { code: 0 },
      httpResponse: {
        case: 'okResponse',
        value: {
          headers: [header('x-set', 'provider', false), header('x-add', 'b', true)],
          headersToRemove: ['authorization', 'host'],
          responseHeadersToAdd: [header('x-down', 'd', false)],
        },
      },
    },
    refuses: { status: { code: 7 } },
    'refuses with words': {
      status: { code: 16 },
      httpResponse: {
        case: 'deniedResponse',
        value: {
          status: { code: 401 },
          body: '{}',
          headers: [header('content-type', 'application/json'), header('x-why', 'no')],
        },
      },
    },
  };
  for (const [name, answer] of Object.entries(GRPC)) {
    it(`is the same where a gRPC provider ${name}`, async () => {
      const outcomes: object[] = [];
      grpc.answer = () => answer;
      for (const port of [ports.bygrpc.envoy, ports.bygrpc.ours]) {
        grpc.seen.length = 0;
        const headers = { 'x-set': 'client', 'x-add': 'a', authorization: 'Basic x' };
        const outcome = await call(port, { path: '/a?b=c', headers });
        const http_ = grpc.seen[0]?.attributes?.request?.http ?? assert.fail();
        const { method, path, host, scheme, protocol, size } = http_;
        const told = { method, path, host, scheme, protocol, size, headers: without(http_.headers, ENVOYS_OWN) };
        outcomes.push({ ...outcome, told });
      }
      assert.deepEqual(outcomes[1], outcomes[0]);
    });
  }
});
