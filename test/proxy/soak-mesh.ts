import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { CatalogMesh } from '../fakes/catalog-mesh.ts';
import type { RunningProxy } from './running-proxy.ts';

export const BOOKS_HOST = 'books.shop.svc.cluster.local';
export const COPIES = ['a', 'b'] as const;
type Copy = (typeof COPIES)[number];

/** An application that can be ended and started again at its port. */
class Application {
  readonly #server: Server;
  #port = 0;

  constructor() {
    const sockets = new Set<Socket>();
    this.#server = createServer((incoming, answer) => {
      let length = 0;
      incoming.on('data', (data: Buffer) => (length += data.length));
      incoming.on('end', () => answer.end(incoming.method === 'POST' ? `${length} bytes` : 'books'));
    });
    this.#server.keepAliveTimeout = 600_000;
    this.#server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
  }

  async start(): Promise<number> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    return this.#port;
  }

  /** As a process that is killed: what is under way is lost. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** A span of `performance.now()`. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * A mesh in which everything changes while it is used: two copies of an application that come and go as endpoints and are
 * restarted, policies, and the CA itself.
 */
export class SoakMesh {
  readonly mesh: CatalogMesh;
  readonly sidecars: readonly RunningProxy[];
  readonly #applications: Readonly<Record<Copy, Application>>;
  /** When an application was away. */
  readonly #away: { readonly from: number; to: number }[] = [];
  #policies = 0;

  private constructor(mesh: CatalogMesh, sidecars: readonly RunningProxy[], applications: Record<Copy, Application>) {
    this.mesh = mesh;
    this.sidecars = sidecars;
    this.#applications = applications;
  }

  static async start(folder: string, flags: readonly string[]): Promise<SoakMesh> {
    const applications = { a: new Application(), b: new Application() };
    const ports = { a: await applications.a.start(), b: await applications.b.start() };
    const mesh = await CatalogMesh.start({ folder, resources: () => booksSidecars(ports) });
    writeEndpoints(mesh, COPIES);
    const sidecars: RunningProxy[] = [];
    for (const workload of ['shop/catalog', 'shop/front', 'shop/books-a', 'shop/books-b']) {
      sidecars.push(await mesh.sidecar(workload, flags));
    }
    return new SoakMesh(mesh, sidecars, applications);
  }

  /** Some policies of which none is about what is called, others each time. */
  changePolicies(): void {
    this.#policies += 1;
    const round = this.#policies;
    const policies = Array.from({ length: 1 + (round % 7) * 30 }, (_, index) => policy(`p${index}`, `/never/${round}`));
    writeFileSync(join(this.mesh.folder, 'resources/policies.yaml'), policies.join('---'));
  }

  /** Takes one copy out of the service, or brings both back. */
  changeEndpoints(round: number): void {
    writeEndpoints(this.mesh, ([['a'], COPIES, ['b'], COPIES] as const)[round % 4] ?? COPIES);
  }

  /** Ends the application of one copy and starts it again. */
  async restartApplication(copy: Copy): Promise<void> {
    const span = { from: performance.now(), to: Infinity };
    this.#away.push(span);
    const application = this.#applications[copy];
    await application.stop();
    await application.start();
    span.to = performance.now();
  }

  /** Whether an application was away for some of that time. */
  wasAway(call: Span): boolean {
    return this.#away.some(({ from, to }) => call.from <= to && call.to >= from);
  }

  /** What the sidecars logged of errors. */
  errors(): string[] {
    return this.sidecars.flatMap(({ access }) => access.map((line) => JSON.stringify(line)));
  }

  /** MiB of each sidecar, by its workload. */
  memory(): number[] {
    return this.sidecars.map(({ pid }) => {
      const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      return Number(kilobytes) / 1_024;
    });
  }

  async stop(): Promise<void> {
    rmSync(join(this.mesh.folder, 'resources/policies.yaml'), { force: true });
    await this.mesh.stop();
    for (const copy of COPIES) await this.#applications[copy].stop();
  }
}

function writeEndpoints(mesh: CatalogMesh, serving: readonly Copy[]): void {
  const entries = COPIES.map(
    (copy, index) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: books-${copy}, namespace: shop }
spec:
  address: ${mesh.net}.${6 + index}
  ports: { http: 8080 }
  labels: { app: books, copy: ${copy}, serving: "${serving.includes(copy) ? 'yes' : 'no'}" }
  serviceAccount: books-${copy}
`,
  );
  writeFileSync(join(mesh.folder, 'resources/books.yaml'), entries.join('---'));
}

function booksSidecars(ports: Readonly<Record<Copy, number>>): string {
  const sidecars = COPIES.map(
    (copy) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: books-${copy}, namespace: shop }
spec:
  workloadSelector: { labels: { app: books, copy: ${copy} } }
  ingress:
    - { port: { number: 8080, protocol: HTTP, name: http }, defaultEndpoint: "127.0.0.1:${ports[copy]}" }
`,
  );
  const service = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books, namespace: shop }
spec:
  hosts: [${BOOKS_HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: 8080 }]
  workloadSelector: { labels: { app: books, serving: "yes" } }
`;
  return [...sidecars, service].join('---');
}

function policy(name: string, path: string): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { app: books } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["${path}"] } }] }]
`;
}
