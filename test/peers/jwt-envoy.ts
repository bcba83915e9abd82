import { createServer, request as send, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { RunningEnvoy } from '../fakes/running-envoy.ts';

/** What both were asked. */
export interface JwtCall {
  readonly method?: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
}

/** What came of one call. */
export interface JwtAnswer {
  readonly status: number;
  readonly body: string;
  readonly details: string;
  readonly challenge: string | undefined;
  /** What the application received, where it did. */
  readonly path: string | undefined;
  readonly received: IncomingHttpHeaders | undefined;
}

/** One JWTRule, its keys inline. */
export interface JwtRuleSpec {
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly jwks: string;
  readonly fromHeaders?: readonly { readonly name: string; readonly prefix?: string }[];
  readonly fromParams?: readonly string[];
  readonly fromCookies?: readonly string[];
  readonly outputPayloadToHeader?: string;
  readonly outputClaimToHeaders?: readonly { readonly header: string; readonly claim: string }[];
  readonly forwardOriginalToken?: boolean;
}

const type = (name: string): string => `type.googleapis.com/envoy.extensions.filters.${name}`;

/** A real Envoy with `jwt_authn` as Istio configures it, once for each set of rules, and an application behind it. */
export class JwtEnvoy {
  readonly #envoy: RunningEnvoy;
  readonly #application: Server;
  readonly #port: number;

  private constructor(envoy: RunningEnvoy, application: Server, port: number) {
    this.#envoy = envoy;
    this.#application = application;
    this.#port = port;
  }

  static async start(
    program: string,
    { folder, sets, port }: { folder: string; sets: readonly (readonly JwtRuleSpec[])[]; port: number },
  ): Promise<JwtEnvoy> {
    const application = createServer((request, response) => {
      response.end(JSON.stringify({ path: request.url, headers: request.headers }));
    });
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
    const config = configOf(sets, { port, application: (application.address() as AddressInfo).port });
    try {
      const envoy = await RunningEnvoy.start({ program, folder, config: JSON.stringify(config) });
      return new JwtEnvoy(envoy, application, port);
    } catch (error) {
      application.close();
      throw error;
    }
  }

  async ask(set: number, { method = 'GET', path, headers }: JwtCall): Promise<JwtAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<JwtAnswer>();
    const options = {
      host: '127.0.0.1',
      port: this.#port,
      method,
      path,
      setHost: false,
      agent: false,
      headers: { host: 'catalog.shop:8080', 'x-set': `${set}`, ...headers } as Record<string, string | string[]>,
    };
    const sent = send(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve(readAnswer(response.statusCode ?? 0, response.headers, body)));
    });
    sent.on('error', reject);
    sent.end();
    return promise;
  }

  async stop(): Promise<void> {
    await this.#envoy.stop();
    this.#application.close();
  }
}

function readAnswer(status: number, headers: IncomingHttpHeaders, body: string): JwtAnswer {
  const challenge = headers['www-authenticate'];
  if (status !== 200) {
    const { text, details } = JSON.parse(body) as { text: string; details: string };
    return { status, body: text, details, challenge, path: undefined, received: undefined };
  }
  const { path, headers: received } = JSON.parse(body) as { path: string; headers: IncomingHttpHeaders };
  return { status, body: '', details: '', challenge, path, received };
}

function configOf(
  sets: readonly (readonly JwtRuleSpec[])[],
  { port, application }: { port: number; application: number },
): object {
  const address = (at: number): object => ({ socket_address: { address: '127.0.0.1', port_value: at } });
  const authentication = {
    '@type': type('http.jwt_authn.v3.JwtAuthentication'),
    bypass_cors_preflight: true,
    providers: Object.fromEntries(
      sets.flatMap((rules, set) => rules.map((rule, index) => [`set-${set}-${index}`, provider(rule)])),
    ),
    rules: sets.map((rules, set) => ({
      match: { prefix: '/', headers: [{ name: 'x-set', string_match: { exact: `${set}` } }] },
      requires: requirement(rules.map((_rule, index) => `set-${set}-${index}`)),
    })),
  };
  const manager = {
    '@type': type('network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'calls',
    local_reply_config: {
      body_format: { json_format: { text: '%LOCAL_REPLY_BODY%', details: '%RESPONSE_CODE_DETAILS%' } },
    },
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'application' } }] },
      ],
    },
    http_filters: [
      { name: 'envoy.filters.http.jwt_authn', typed_config: authentication },
      { name: 'envoy.filters.http.router', typed_config: { '@type': type('http.router.v3.Router') } },
    ],
  };
  const endpoint = { endpoint: { address: address(application) } };
  return {
    admin: { address: address(0) },
    static_resources: {
      listeners: [
        {
          name: 'calls',
          address: address(port),
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [
        {
          name: 'application',
          type: 'STATIC',
          load_assignment: { cluster_name: 'application', endpoints: [{ lb_endpoints: [endpoint] }] },
        },
      ],
    },
  };
}

/** As Istio translates a rule (policy_applier.go, convertToEnvoyJwtConfig). */
function provider(rule: JwtRuleSpec): object {
  return {
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    forward: rule.forwardOriginalToken ?? false,
    forward_payload_header: rule.outputPayloadToHeader ?? '',
    payload_in_metadata: 'payload',
    claim_to_headers: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({
      header_name: header,
      claim_name: claim,
    })),
    from_headers: (rule.fromHeaders ?? []).map(({ name, prefix = '' }) => ({ name, value_prefix: prefix })),
    from_params: rule.fromParams ?? [],
    from_cookies: rule.fromCookies ?? [],
    local_jwks: { inline_string: rule.jwks },
  };
}

/** One rule, or no token; with several: one of them, or each where there is a token for it. */
function requirement(names: readonly string[]): object {
  const [only] = names;
  const either = (name: string | undefined): object => ({
    requires_any: { requirements: [{ provider_name: name }, { allow_missing: {} }] },
  });
  if (names.length === 1) return either(only);
  return {
    requires_any: {
      requirements: [
        ...names.map((name) => ({ provider_name: name })),
        { requires_all: { requirements: names.map(either) } },
      ],
    },
  };
}
