import { isIPv4 } from 'node:net';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { Service, Workload } from '../agent/destination.ts';
import type { Forward } from '../http1/decision.ts';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { VerifyPeer } from '../agent/identity-source.ts';
import { reportedService, UNKNOWN_SERVICE, type Edge, type ReportedService } from '../report/edge.ts';
import type { IstioMetrics } from '../report/istio-metrics.ts';
import { METADATA_FIELDS } from '../report/peer-metadata.ts';
import { reportedWorkload, UNKNOWN_WORKLOAD } from '../report/reported-workload.ts';
import { plainTransport, tlsTransport } from '../upstream/transports.ts';
import type { Retries } from '../upstream/retries.ts';
import type { UpstreamHost } from '../upstream/upstream-host.ts';
import type { Secured } from '../upstream/secured.ts';
import type { UpstreamTransport } from '../upstream/upstream-connection.ts';
import type { createClientContext } from './client-context.ts';
import type { Endpoint } from './endpoint.ts';
import { expectPeer } from './expected-peer.ts';

/** What Istio's clients offer for HTTP; a server that is no sidecar would still find a plain name. */
const HTTP_ALPN = ['istio-http/1.1', 'istio', 'http/1.1'] as const;
const TCP_ALPN = ['istio'] as const;

export interface EndpointFactoryOptions {
  /** This sidecar's own workload. */
  readonly own: Workload;
  readonly ownIdentity: SpiffeId;
  /** Says who we are to peers in the mesh. */
  readonly metadata: Buffer;
  /** Changes when peers have to be judged anew. */
  readonly trust: number;
  readonly clientContext: ReturnType<typeof createClientContext>;
  readonly verifyPeer: VerifyPeer;
  /** Whether an address and port are a listener of this sidecar itself. */
  readonly isOwn: (address: string, port: number) => boolean;
  readonly istio: IstioMetrics;
  readonly onSecured?: ((secured: Secured) => void) | undefined;
  readonly onRefused?: ((words: string) => void) | undefined;
}

export interface MeshEndpoint {
  readonly workload: Workload;
  /** The port of the workload. */
  readonly port: number;
  readonly service: Service | undefined;
  /** The port of the service. */
  readonly servicePort: number;
  readonly cluster: EndpointCluster;
}

/** The destination that an endpoint is made for. */
export interface EndpointCluster {
  readonly retries: Retries;
  readonly hostOf: (key: string, transport: UpstreamTransport) => UpstreamHost;
  /** Server name to be said instead of Istio's. */
  readonly sni: string | undefined;
}

/** An application must not speak for the sidecar, nor learn what sidecars tell each other. */
const RESPONSE_EDITS: HeadEdits = Object.freeze({ strip: METADATA_FIELDS, add: undefined });

/** Makes endpoints: how each is connected to, what is sent along, how it is counted. */
export class EndpointFactory {
  readonly #options: EndpointFactoryOptions;

  constructor(options: EndpointFactoryOptions) {
    this.#options = options;
  }

  /** A workload whose sidecar must prove to be exactly it. */
  mtls({ workload, port, service, servicePort, cluster }: MeshEndpoint): Endpoint {
    const { clientContext, verifyPeer, trust, metadata, ownIdentity, onSecured, onRefused } = this.#options;
    const host = hostOf(workload);
    const hostname = service?.hostname ?? host;
    const servername = cluster.sni ?? `outbound_.${servicePort}_._.${hostname}`;
    const transport = (alpn: readonly string[]): UpstreamTransport =>
      tlsTransport({
        host,
        port,
        localAddress: this.#localAddress(host),
        servername,
        alpn,
        secureContext: () => {
          const context = clientContext();
          if (context === undefined) throw new TypeError('a call was routed before there was a certificate');
          return context;
        },
        verifyPeer: expectPeer(
          { identity: workload.identity, alsoAllowed: service?.subjectAltNames ?? [] },
          verifyPeer,
        ),
        onSecured,
        onRefused,
      });
    const sans = service?.subjectAltNames.join(' ') ?? '';
    return this.#endpoint({
      key: ['mtls', trust, host, port, workload.identity.toString(), servername, sans].join('|'),
      http: transport(HTTP_ALPN),
      tcp: transport(TCP_ALPN),
      weight: workload.weight,
      add: metadata,
      edge: this.#edge({
        workload,
        service: this.#serviceOf(service),
        principals: [ownIdentity.toString(), workload.identity.toString()],
      }),
      cluster,
    });
  }

  /** A workload of the mesh that takes plaintext. */
  plaintext({ workload, port, service, cluster }: MeshEndpoint): Endpoint {
    const host = hostOf(workload);
    const transport = this.#plain(host, port);
    return this.#endpoint({
      key: `plaintext|${host}|${port}`,
      http: transport,
      tcp: transport,
      weight: workload.weight,
      add: undefined,
      edge: this.#edge({ workload, service: this.#serviceOf(service), principals: undefined }),
      cluster,
    });
  }

  /** An address outside the mesh. */
  outside(address: string, port: number, service: ReportedService, cluster: EndpointCluster): Endpoint {
    const transport = this.#plain(address, port);
    return this.#endpoint({
      key: `plaintext|${address}|${port}`,
      http: transport,
      tcp: transport,
      weight: 1,
      add: undefined,
      edge: this.#edge({ workload: undefined, service, principals: undefined }),
      cluster,
    });
  }

  #plain(host: string, port: number): UpstreamTransport {
    const { isOwn } = this.#options;
    return {
      ...plainTransport({ host, port, localAddress: this.#localAddress(host) }),
      // A name may lead anywhere, so the address is looked at once it is known: a call to ourselves would never end.
      check: ({ remoteAddress = '', remotePort = 0 }) =>
        isOwn(remoteAddress, remotePort) ? 'the destination is this sidecar itself' : undefined,
    };
  }

  #endpoint(parts: {
    readonly key: string;
    readonly http: UpstreamTransport;
    readonly tcp: UpstreamTransport;
    readonly weight: number;
    readonly add: Buffer | undefined;
    readonly edge: Edge;
    readonly cluster: EndpointCluster;
  }): Endpoint {
    const { istio } = this.#options;
    const { key, http, tcp, weight, add, edge, cluster } = parts;
    const host = cluster.hostOf(key, http);
    const forward: Forward = Object.freeze({
      kind: 'forward',
      upstream: host.pool,
      strip: METADATA_FIELDS,
      add,
      response: RESPONSE_EDITS,
      retries: cluster.retries,
    });
    return Object.freeze({
      host,
      destination: http.destination,
      weight,
      forward,
      tcp,
      edge,
      httpMetrics: istio.http(edge),
      tcpMetrics: istio.tcp(edge),
    });
  }

  #edge(parts: {
    readonly workload: Workload | undefined;
    readonly service: ReportedService;
    readonly principals: readonly [string, string] | undefined;
  }): Edge {
    return Object.freeze({
      reporter: 'source',
      source: reportedWorkload(this.#options.own),
      sourcePrincipal: parts.principals?.[0],
      destination: parts.workload === undefined ? UNKNOWN_WORKLOAD : reportedWorkload(parts.workload),
      destinationPrincipal: parts.principals?.[1],
      service: parts.service,
    });
  }

  #serviceOf(service: Service | undefined): ReportedService {
    return service === undefined ? UNKNOWN_SERVICE : reportedService(service.namespace, service.hostname);
  }

  /**
   * Where workloads have loopback addresses of their own, calls come from the caller's, as they would on a network:
   * `ipBlocks` and the receiver's metrics then see the workload. Loopback cannot be bound for a call to elsewhere.
   */
  #localAddress(host: string): string | undefined {
    const [address = ''] = this.#options.own.addresses;
    return isLoopback(address) && isLoopback(host) ? address : undefined;
  }
}

function hostOf({ addresses, hostname }: Workload): string {
  return addresses[0] ?? hostname;
}

function isLoopback(address: string): boolean {
  return isIPv4(address) && address.startsWith('127.');
}
