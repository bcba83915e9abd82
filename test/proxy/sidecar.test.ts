import { strict as assert } from 'node:assert';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TestMesh, type TestIdentity } from '../fakes/mesh-certificates.ts';
import { service, sidecarConfig, TestBook, workload } from './sidecar-world.ts';
import { TestSidecar } from './test-sidecar.ts';

const CATALOG = 'spiffe://cluster.local/ns/shop/sa/catalog';
const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';
const HOST = 'catalog.shop.svc.cluster.local';

interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function call(port: number, options: { path?: string; method?: string; headers?: Record<string, string> } = {}) {
  return new Promise<Answered>((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent: false, ...options }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('two sidecars and what is between them', () => {
  let mesh: TestMesh;
  let identities: Record<'catalog' | 'front', TestIdentity>;
  let application: Server;
  let seen: IncomingMessage[];
  const stops: (() => Promise<unknown>)[] = [];

  before(async () => {
    mesh = await TestMesh.create();
    identities = { catalog: await mesh.issue(CATALOG), front: await mesh.issue(FRONT) };
  });

  beforeEach(async () => {
    seen = [];
    application = createServer((incoming, answer) => {
      seen.push(incoming);
      answer.setHeader('x-envoy-peer-metadata', 'made up');
      answer.end('books');
    });
    await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
    stops.push(() => new Promise((resolve) => application.close(resolve)));
  });

  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const applicationPort = (): number => (application.address() as AddressInfo).port;

  const startCatalog = async (policies: Record<string, object> = {}): Promise<TestSidecar> => {
    const own = workload({ name: 'catalog', labels: { app: 'catalog', version: 'v1' } });
    const book = new TestBook();
    book.addWorkload(workload({ name: 'front', address: '127.0.0.9', labels: { app: 'front' } }));
    const started = await TestSidecar.start({
      config: sidecarConfig({
        workload: own,
        rootsPem: mesh.rootPem,
        inbound: [{ applicationPort: applicationPort(), mode: 'STRICT' }],
        policies,
      }),
      identity: identities.catalog,
      book,
    });
    stops.push(() => started.close());
    return started;
  };

  const startFront = async (port: number): Promise<TestSidecar> => {
    const book = new TestBook();
    const key = `shop/${HOST}`;
    book.addService(
      service(HOST, [8080]),
      workload({ name: 'catalog', labels: { app: 'catalog', version: 'v1' }, services: { [key]: { 8080: port } } }),
    );
    const started = await TestSidecar.start({
      config: sidecarConfig({
        workload: workload({ name: 'front', labels: { app: 'front' } }),
        rootsPem: mesh.rootPem,
        outbound: [{ to: [`shop/${HOST}`] }],
      }),
      identity: identities.front,
      book,
    });
    stops.push(() => started.close());
    return started;
  };

  it('carries a call by mutual TLS, tells the application who called, and lets it tell nobody else', async () => {
    const catalog = await startCatalog();
    const front = await startFront(catalog.inboundPort());
    const answer = await call(front.outboundPort(), {
      path: '/books?a=1',
      headers: { host: 'catalog', 'x-forwarded-client-cert': `URI=${CATALOG}`, 'x-envoy-peer-metadata': 'e30=' },
    });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(answer.body, 'books');
    const [received] = seen;
    assert.ok(received);
    assert.equal(received.url, '/books?a=1');
    const xfcc = received.headers['x-forwarded-client-cert'];
    assert.match(String(xfcc), new RegExp(`^By=${CATALOG};Hash=[0-9a-f]{64};Subject="";URI=${FRONT}$`));
    assert.equal(received.headers['x-envoy-peer-metadata'], undefined);
    assert.equal(answer.headers['x-envoy-peer-metadata'], undefined);
  });

  it('counts the call on both sides, with the names and identities of both ends', async () => {
    const catalog = await startCatalog();
    const front = await startFront(catalog.inboundPort());
    await call(front.outboundPort(), { headers: { host: 'catalog' } });
    const ends = {
      source_workload: 'front',
      source_workload_namespace: 'shop',
      source_principal: FRONT,
      source_app: 'front',
      source_cluster: 'Kubernetes',
      destination_workload: 'catalog',
      destination_principal: CATALOG,
      destination_version: 'v1',
      response_code: '200',
      response_flags: '-',
      request_protocol: 'http',
    };
    const [there] = await catalog.series('istio_requests_total');
    assert.deepEqual({ ...there?.labels, ...ends }, there?.labels);
    assert.equal(there?.value, 1);
    assert.equal(there?.labels['reporter'], 'destination');
    assert.equal(there?.labels['connection_security_policy'], 'mutual_tls');
    const [here] = await front.series('istio_requests_total');
    assert.deepEqual({ ...here?.labels, ...ends }, here?.labels);
    assert.equal(here?.labels['reporter'], 'source');
    assert.equal(here?.labels['connection_security_policy'], 'unknown');
    assert.equal(here?.labels['destination_service'], HOST);
    assert.equal(here?.labels['destination_service_name'], 'catalog');
  });
});
