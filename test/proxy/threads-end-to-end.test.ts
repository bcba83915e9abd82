import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CATALOG_HOST, CatalogMesh } from '../fakes/catalog-mesh.ts';
import { aSecond } from '../fakes/a-second.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { sealwright } from '../fakes/running-ca.ts';
import { httpCall } from './http-call.ts';
import { RunningProxy } from './running-proxy.ts';

const THREADS = 4;
/** So many that each thread has some: the kernel spreads them by address and port. */
const CONNECTIONS = 24;

const MORTAL = ['--import', fileURLToPath(new URL('./mortal-threads.ts', import.meta.url))];

const NOBODY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: shop }
spec:
  selector: { matchLabels: { app: catalog } }
  action: DENY
  rules: [{ from: [{ source: { principals: ["*/sa/front"] } }] }]
`;

/** A connection that is kept, and what comes of requests on it. */
class Kept {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #mesh: CatalogMesh;
  readonly sockets = new Set<Socket>();

  constructor(mesh: CatalogMesh) {
    this.#mesh = mesh;
  }

  /** The status; 0 where the connection ended. */
  async call(path = '/books'): Promise<number> {
    const headers = { host: CATALOG_HOST };
    const sent = request({ host: this.#mesh.frontAddress, port: 15_001, path, agent: this.#agent, headers });
    sent.on('socket', (socket) => this.sockets.add(socket));
    sent.on('error', () => {});
    sent.end();
    try {
      const [answer] = await once(sent, 'response');
      answer.resume();
      await once(answer, 'end');
      return answer.statusCode;
    } catch {
      return 0;
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

describe('a sidecar of several threads', function () {
  this.timeout(60_000);
  let mesh: CatalogMesh;
  let catalog: RunningProxy;
  let kept: Kept[];

  before(async function () {
    mesh = await CatalogMesh.start({ folder: temporaryFolder(this) });
    const flags = ['--concurrency', `${THREADS}`, '--access-log', 'all', '--max-connections', '200'];
    catalog = mesh.adopt(await RunningProxy.start({ ca: mesh.ca, workload: 'shop/catalog', flags, nodeFlags: MORTAL }));
    await mesh.sidecar('shop/front', ['--concurrency', `${THREADS}`]);
  });
  after(() => mesh.stop());

  beforeEach(() => (kept = Array.from({ length: CONNECTIONS }, () => new Kept(mesh))));
  afterEach(() => {
    for (const each of kept) each.close();
  });

  const callAll = (path?: string): Promise<number[]> => Promise.all(kept.map((each) => each.call(path)));
  const metric = async (line: RegExp): Promise<number> => {
    const { body } = await httpCall(mesh.address, 15_020, { path: '/stats/prometheus' });
    return Number(line.exec(body)?.[1] ?? Number.NaN);
  };
  const REQUESTS = /^istio_requests_total\{.*response_code="200".*\} (\d+)$/m;
  const all = (status: number): number[] => Array.from({ length: CONNECTIONS }, () => status);
  const echoing = async (): Promise<Socket> => {
    const socket = connect(9100, mesh.frontAddress);
    socket.on('error', () => {});
    socket.write('hello');
    await once(socket, 'data');
    return socket;
  };

  it('answers on all of them, and adds up what each of them counted', async () => {
    assert.deepEqual(await callAll(), all(200));
    assert.deepEqual(await callAll(), all(200));
    assert.equal(await metric(REQUESTS), 2 * CONNECTIONS);
    assert.equal(await metric(/^sealwright_data_threads (\d+)$/m), THREADS);
    await eventually(() => catalog.access.length >= 2 * CONNECTIONS);
    assert.ok(catalog.access.every((line) => line['response_code'] === 200));
  });

  it('has a changed policy in force everywhere within a second, on connections that are open', async () => {
    const opaque = await Promise.all(Array.from({ length: CONNECTIONS }, echoing));
    assert.deepEqual(await callAll(), all(200));
    const file = join(mesh.folder, 'resources/nobody.yaml');
    const closed = Promise.all(opaque.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    writeFileSync(file, NOBODY);
    const [first] = kept;
    try {
      await eventually(async () => (await first?.call()) === 403);
      const since = performance.now();
      // By now it is in force in one thread. Another that still served by the old one would answer 200 to its connections.
      await eventually(async () => (await callAll()).every((status) => status === 403), aSecond());
      await closed;
      assert.ok(performance.now() - since < aSecond(), `${performance.now() - since} ms`);
      for (const { sockets } of kept) assert.equal(sockets.size, 1);
    } finally {
      rmSync(file);
    }
    await eventually(async () => (await callAll()).every((status) => status === 200));
  });

  it('explains a decision whichever thread made it', async () => {
    assert.deepEqual(await callAll('/admin'), all(403));
    await eventually(() => catalog.access.filter((line) => line['path'] === '/admin').length >= CONNECTIONS);
    const ids = catalog.access.flatMap((line) => (line['path'] === '/admin' ? String(line['request_id']) : []));
    for (const id of ids.slice(-6)) {
      const { stdout } = await sealwright(mesh.folder, ['policy', 'explain', '--id', id, '-o', 'json']);
      assert.match(stdout, /"\/admin"/, id);
    }
  });

  it('goes on without one that ends, and puts another in its place', async () => {
    assert.deepEqual(await callAll(), all(200));
    const counted = await metric(REQUESTS);
    const { folder } = mesh;
    writeFileSync(join(folder, 'die-2'), '');
    const line = await catalog.logged('a thread ended, and its connections with it; another takes its place');
    rmSync(join(folder, 'die-2'));
    assert.deepEqual([line['thread'], line['reason'], line['level']], [2, 'thread 2 was told to die', 'error']);
    // What the others have open goes on: a caller's sidecar opens again what was lost.
    for (const status of await callAll()) assert.ok(status === 200 || status === 503, `${status}`);
    await eventually(async () => (await metric(/^sealwright_data_threads (\d+)$/m)) === THREADS);
    await eventually(async () => (await callAll()).every((status) => status === 200));
    assert.ok((await metric(REQUESTS)) > counted);
    assert.equal(await metric(/^sealwright_data_thread_ends_total (\d+)$/m), 1);
    assert.equal((await httpCall(mesh.address, 15_021, { path: '/healthz/ready' })).status, 200);
    // The one that came to it has the policies too.
    assert.deepEqual(await callAll('/admin'), all(403));
  });

  it('ends with a sentence where they end again and again', async () => {
    writeFileSync(join(mesh.folder, 'die-always'), '');
    assert.equal(await catalog.closed, 1);
    const said = catalog.said.filter((line) => line.startsWith('sealwright: '));
    assert.equal(said.length, 1, catalog.said.join('\n'));
    assert.match(said[0] ?? '', /the threads that carry the traffic end again and again .*was told to die/);
    rmSync(join(mesh.folder, 'die-always'));
  });
});
