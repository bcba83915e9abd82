import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createCsr } from '../../src/pki/csr-writer.ts';
import { createKeyPair, encodePrivateKey } from '../../src/pki/keys.ts';
import { RunningProxy } from '../proxy/running-proxy.ts';
import { loopbackNet } from './loopback-net.ts';
import { createCertificate, RunningCa } from './running-ca.ts';
import {
  authorizationPolicy,
  documents,
  from,
  http,
  peerAuthentication,
  serviceEntry,
  sidecarFor,
  tcp,
  workloadEntry,
} from './shop-documents.ts';

export const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
export const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';
export const CATALOG_HOST = 'catalog.shop.svc.cluster.local';

/** What another program needs to speak as a workload, as PEM and as files of it. */
export interface PeerIdentity {
  readonly keyPem: string;
  /** Leaf first, without the root. */
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly keyFile: string;
  readonly chainFile: string;
  readonly rootsFile: string;
}

export interface CatalogMeshOptions {
  readonly folder: string;
  /** Where plaintext is let in, there is no policy either: what is not forwarded then, nobody but the engine held up. */
  readonly mode?: 'STRICT' | 'PERMISSIVE';
  readonly caFlags?: readonly string[];
  /** Further YAML documents, given the network's first three numbers. */
  readonly resources?: (net: string) => string;
}

/** Ends of the application: HTTP and opaque bytes, echoed. */
interface Application {
  readonly http: Server;
  readonly echo: TcpServer;
  readonly sockets: Set<Socket>;
}

/**
 * A real CA, and beside it `shop/catalog`: an application whose every request is kept, and what its sidecar needs to
 * know. Only `front` may call it, only below `/books`, and over port 9000 with opaque bytes. Addresses are loopback
 * addresses that no other mesh and no other test process has.
 */
export class CatalogMesh {
  readonly folder: string;
  #ca: RunningCa;
  /** Such as `127.101.3`; workloads have the numbers from 1 on. */
  readonly net: string;
  /** What reached the application, the oldest first. */
  readonly seen: IncomingMessage[] = [];
  readonly #application: Application;
  readonly #proxies: RunningProxy[] = [];

  private constructor(parts: { ca: RunningCa; folder: string; net: string; application: Application }) {
    this.#ca = parts.ca;
    this.folder = parts.folder;
    this.net = parts.net;
    this.#application = parts.application;
    parts.application.http.on('request', (incoming: IncomingMessage) => this.seen.push(incoming));
  }

  static async start({ folder, mode = 'STRICT', caFlags = [], resources }: CatalogMeshOptions): Promise<CatalogMesh> {
    const net = loopbackNet();
    const application = await startApplication();
    mkdirSync(join(folder, 'resources'));
    const endpoints = { http: portOf(application.http), echo: portOf(application.echo) };
    writeFileSync(join(folder, 'resources/shop.yaml'), shop(net, mode, endpoints));
    if (resources !== undefined) writeFileSync(join(folder, 'resources/more.yaml'), resources(net));
    const ca = await RunningCa.start(folder, caFlags);
    return new CatalogMesh({ ca, folder, net, application });
  }

  get ca(): RunningCa {
    return this.#ca;
  }

  /** Ends the CA in that way and starts it at the same port. */
  async restartCa(signal: NodeJS.Signals): Promise<void> {
    const { port } = this.#ca;
    await this.#ca.stop(signal);
    this.#ca = await RunningCa.start(this.folder, ['--ca-listen', `127.0.0.1:${port}`]);
  }

  /** Where the sidecar of the catalog takes calls: HTTP at 8080, opaque bytes at 9000. */
  get address(): string {
    return `${this.net}.2`;
  }

  get frontAddress(): string {
    return `${this.net}.1`;
  }

  /** Where the application itself listens, on 127.0.0.1. */
  get applicationPort(): number {
    return portOf(this.#application.http);
  }

  /** Starts the sidecar of a workload and waits until it serves. */
  async sidecar(workload: string, flags: readonly string[] = [], binary?: string): Promise<RunningProxy> {
    const proxy = await RunningProxy.start({ ca: this.ca, workload, flags, binary });
    this.#proxies.push(proxy);
    return proxy;
  }

  /** Another process of the mesh, which is ended with it. */
  adopt(proxy: RunningProxy): RunningProxy {
    this.#proxies.push(proxy);
    return proxy;
  }

  /** A certificate from the CA for a service account, by its token, as any program may obtain one. */
  async svid(namespace: string, serviceAccount: string, seconds = 3_600): Promise<PeerIdentity> {
    const keyPair = await createKeyPair();
    const channel = this.ca.channel();
    const token = await this.ca.token(namespace, serviceAccount);
    try {
      const csr = createCsr({ keyPair });
      const { certChain } = await createCertificate(channel, { csr, token, seconds: BigInt(seconds) });
      return writePeer(join(this.folder, `peer-${namespace}-${serviceAccount}`), {
        keyPem: encodePrivateKey(keyPair.privateKey),
        chainPem: certChain.slice(0, -1).join(''),
        rootsPem: certChain.at(-1) ?? '',
      });
    } finally {
      channel.close();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.stop('SIGKILL')));
    await this.ca.stop('SIGKILL');
    const { http, echo, sockets } = this.#application;
    for (const socket of sockets) socket.destroy();
    await Promise.all([http, echo].map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** Key, chain and roots as files in a folder of their own. */
export function writePeer(folder: string, pem: Pick<PeerIdentity, 'keyPem' | 'chainPem' | 'rootsPem'>): PeerIdentity {
  mkdirSync(folder, { recursive: true });
  const files = {
    keyFile: join(folder, 'key.pem'),
    chainFile: join(folder, 'chain.pem'),
    rootsFile: join(folder, 'roots.pem'),
  };
  writeFileSync(files.keyFile, pem.keyPem, { mode: 0o600 });
  writeFileSync(files.chainFile, pem.chainPem);
  writeFileSync(files.rootsFile, pem.rootsPem);
  return { ...pem, ...files };
}

async function startApplication(): Promise<Application> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  };
  const http = createServer((incoming, answer) => {
    incoming.resume();
    incoming.once('end', () => answer.end('books'));
  });
  // The sidecar must be the one that ends idle connections, or a race of the two would be taken for a lost request.
  http.keepAliveTimeout = 600_000;
  http.on('connection', keep);
  const echo = createTcpServer({ allowHalfOpen: true }, (socket) => {
    keep(socket);
    socket.pipe(socket);
  });
  for (const server of [http, echo]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  return { http, echo, sockets };
}

function portOf(server: TcpServer): number {
  return (server.address() as AddressInfo).port;
}

function shop(net: string, mode: string, application: { http: number; echo: number }): string {
  return documents(
    workloadEntry('catalog', { address: `${net}.2`, ports: { http: 8080, tcp: 9000 } }),
    workloadEntry('front', { address: `${net}.1` }),
    sidecarFor('catalog', {
      ingress: [
        { ...http(8080), application: application.http },
        { ...tcp(9000), application: application.echo },
      ],
    }),
    sidecarFor('front', { egress: CALLS }),
    serviceEntry('catalog', [{ ...http(80), targetPort: 8080 }]),
    serviceEntry('echo', [{ ...tcp(9100), targetPort: 9000 }], 'catalog'),
    peerAuthentication('mode', mode),
    ...(mode === 'STRICT' ? [READERS] : []),
  );
}

/** The echo by bytes, and everything by HTTP. */
export const CALLS = [{ port: tcp(9100), hosts: ['./echo.shop.svc.cluster.local'] }, { hosts: ['./*'] }];

const READERS = authorizationPolicy(
  'readers',
  {
    rules: [
      { from: from('front'), to: [{ operation: { ports: ['8080'], paths: ['/books*'] } }] },
      { from: from('front'), to: [{ operation: { ports: ['9000'] } }] },
    ],
  },
  'catalog',
);
