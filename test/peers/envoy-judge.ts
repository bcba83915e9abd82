import { writeFileSync } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { RunningEnvoy } from '../fakes/running-envoy.ts';
import { manager, routeTable, SET_HEADER, tcpFilters, type, type HttpListener } from './envoy-filters.ts';
import type { Rbac } from './istio-rbac.ts';
import { TOKENS } from './policy-tokens.ts';

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
