import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { service, sidecarConfig, TestBook, workload, type WorkloadFields } from './sidecar-world.ts';
import { TestSidecar } from './test-sidecar.ts';

export const HOST = 'catalog.shop.svc.cluster.local';
const KEY = `shop/${HOST}`;

/** One endpoint of the service: a real HTTP server that answers with its name, or as a test says. */
export class Place {
  readonly name: string;
  readonly seen: IncomingMessage[] = [];
  /** Answers that a test gives itself. */
  answer: (incoming: IncomingMessage, answer: ServerResponse) => void = (_, answer) => answer.end(this.name);
  #server: Server;
  #port = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(name: string) {
    this.name = name;
    this.#server = this.#make();
  }

  static async open(name: string): Promise<Place> {
    const place = new Place(name);
    await place.listen();
    return place;
  }

  get port(): number {
    return this.#port;
  }

  /** Open connections. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Listens at the port of the first time. */
  async listen(): Promise<void> {
    this.#server = this.#make();
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Ends with everything that is open, as a process does that is killed. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  #make(): Server {
    const server = createServer((incoming, answer) => {
      this.seen.push(incoming);
      incoming.resume();
      this.answer(incoming, answer);
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
    return server;
  }
}

export type Spec = Readonly<Record<string, unknown>>;

/** The sidecar of `front` and what it calls: a service with endpoints without sidecars, of which each has a rule. */
export class DestinationWorld {
  readonly front: TestSidecar;
  readonly #mesh: TestMesh;

  private constructor(front: TestSidecar, mesh: TestMesh) {
    this.front = front;
    this.#mesh = mesh;
  }

  static async start(
    places: readonly Pick<Place, 'port'>[],
    trafficPolicy: Spec = {},
    more: {
      readonly clock?: Clock;
      readonly workload?: Partial<WorkloadFields>;
      readonly protocol?: 'http' | 'tcp';
    } = {},
  ): Promise<DestinationWorld> {
    const mesh = await TestMesh.create();
    const identity: TestIdentity = await mesh.issue('spiffe://cluster.local/ns/shop/sa/front');
    const front = await TestSidecar.start({
      config: configWith(mesh, trafficPolicy, more.protocol),
      identity,
      book: new TestBook(),
      ...(more.clock === undefined ? {} : { clock: more.clock }),
    });
    const world = new DestinationWorld(front, mesh);
    world.place(places, more.workload);
    return world;
  }

  get port(): number {
    return this.front.outboundPort();
  }

  /** Other endpoints from now on. */
  place(places: readonly Pick<Place, 'port'>[], more: Partial<WorkloadFields> = {}): void {
    const workloads = places.map(({ port }, index) =>
      workload({ name: `catalog-${index}`, sidecar: false, services: { [KEY]: { 80: port } }, ...more }),
    );
    this.front.book.set(HOST, { kind: 'service', service: service(HOST, [80]), workloads });
  }

  /** Another rule from now on. */
  async rule(trafficPolicy: Spec): Promise<void> {
    await this.front.reconfigure(configWith(this.#mesh, trafficPolicy));
  }

  /** The counters and gauges of the service, by the ends of their names. */
  async stats(): Promise<Record<string, number>> {
    const { body } = await this.front.metrics.render();
    const lines = body.matchAll(/^envoy_cluster_([a-z0-9_]+)\{cluster_name="outbound\|80\|\|[^"]*"\} (\S+)$/gm);
    return Object.fromEntries([...lines].map(([, name = '', value]) => [name, Number(value)]));
  }

  async close(): Promise<void> {
    await this.front.close();
  }
}

function configWith(mesh: TestMesh, trafficPolicy: Spec, protocol: 'http' | 'tcp' = 'http') {
  return sidecarConfig({
    workload: workload({ name: 'front', labels: { app: 'front' } }),
    rootsPem: mesh.rootPem,
    outbound: [{ to: [KEY], protocol }],
    destinationRules: { catalog: { host: 'catalog', trafficPolicy } },
  });
}
