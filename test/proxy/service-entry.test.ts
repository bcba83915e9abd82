import { strict as assert } from 'node:assert';
import { connect } from 'node:tls';
import { Place } from './destination-world.ts';
import { eventually } from '../fakes/eventually.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';
import { httpCall, type HttpAnswer } from './http-call.ts';
import { service, sidecarConfig, TestBook, workload, type ConfigFields } from './sidecar-world.ts';
import { TestSidecar } from './test-sidecar.ts';

const WILD = '*.example.org';

describe('a ServiceEntry without addresses of its own', () => {
  let mesh: TestMesh;
  const stops: (() => Promise<unknown>)[] = [];
  before(async () => {
    mesh = await TestMesh.create();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });
  const open = async (): Promise<Place> => {
    const place = await Place.open('outside');
    stops.push(() => place.kill());
    return place;
  };

  /** A sidecar that may reach the registry alone, in which there is a wildcard for port `port`. */
  const start = async (
    port: number,
    more: Partial<ConfigFields> = {},
    fill: (book: TestBook) => void = () => {},
  ): Promise<TestSidecar> => {
    const book = new TestBook();
    book.otherwise = { kind: 'outside' };
    book.set('www.example.org', {
      kind: 'service',
      service: service(WILD, [port], { passthrough: true }),
      workloads: [],
    });
    fill(book);
    const sidecar = await TestSidecar.start({
      config: sidecarConfig({
        workload: workload({ name: 'front' }),
        rootsPem: mesh.rootPem,
        outboundTrafficPolicy: 'REGISTRY_ONLY',
        ...more,
      }),
      identity: await mesh.issue('spiffe://cluster.local/ns/shop/sa/front'),
      book,
      lookup: async (host) => (host === 'nowhere.example.org' ? [] : ['127.0.0.1']),
    });
    stops.push(() => sidecar.close());
    return sidecar;
  };
  const ask = (sidecar: TestSidecar, url: string): Promise<HttpAnswer> =>
    httpCall('127.0.0.2', sidecar.proxyPort, { path: url, headers: { host: new URL(url).host } });

  it('is called where its name leads, by its port and no other, and nothing else is', async () => {
    const place = await open();
    const sidecar = await start(place.port);
    assert.equal((await ask(sidecar, `http://www.example.org:${place.port}/a`)).body, 'outside');
    assert.equal(place.seen[0]?.headers.host, `www.example.org:${place.port}`);
    assert.equal((await ask(sidecar, 'http://www.example.org:1/')).status, 404);
    const other = await ask(sidecar, `http://www.example.net:${place.port}/`);
    assert.equal(other.status, 502);
    assert.equal(place.seen.length, 1);
    const series = await sidecar.series('istio_requests_total');
    const names = series.map(({ labels }) => [labels['destination_service'], labels['destination_service_name']]);
    assert.deepEqual(names[0], [WILD, WILD]);
    assert.deepEqual(names.at(-1), [`www.example.net:${place.port}`, 'BlackHoleCluster']);
    assert.equal(sidecar.log()[0]?.['upstream_cluster'], `outbound|${place.port}||${WILD}`);
  });

  it('is under its DestinationRule, which cannot ask for a proof of whom nobody knows (invariant 5)', async () => {
    const place = await open();
    const rule = (trafficPolicy: object): Partial<ConfigFields> => ({
      destinationRules: { wild: { host: WILD, trafficPolicy } },
    });
    for (const mode of ['ISTIO_MUTUAL', 'SIMPLE', 'MUTUAL']) {
      const refusing = await start(place.port, rule({ tls: { mode, credentialName: 'c' } }));
      assert.equal((await ask(refusing, `http://www.example.org:${place.port}/`)).status, 503, mode);
    }
    assert.deepEqual(place.seen, []);
    const once = { connectionPool: { http: { maxRequestsPerConnection: 1 } } };
    const sidecar = await start(place.port, rule(once));
    for (let count = 0; count < 2; count += 1) await ask(sidecar, `http://www.example.org:${place.port}/`);
    const [opened] = await sidecar.series('envoy_cluster_upstream_cx_total');
    assert.equal(opened?.value, 2);
  });

  it('is no way to a workload of the mesh in plaintext (invariant 4)', async () => {
    const place = await open();
    const sidecar = await start(place.port, {}, (book) =>
      book.addWorkload(workload({ name: 'catalog', address: '127.0.0.1', mode: 'STRICT' })),
    );
    assert.equal((await ask(sidecar, `http://www.example.org:${place.port}/`)).status, 503);
    assert.deepEqual(place.seen, []);
  });

  it('is called at its own address too', async () => {
    const place = await open();
    const sidecar = await start(place.port, {}, (book) => {
      const found = book.peek({ host: 'www.example.org' }) ?? assert.fail();
      book.set('127.0.0.1', found);
    });
    assert.equal((await ask(sidecar, `http://127.0.0.1:${place.port}/`)).body, 'outside');
  });

  it('has no address where its name has none', async () => {
    const sidecar = await start(80, {}, (book) => {
      book.set('nowhere.example.org', book.peek({ host: 'www.example.org' }) ?? assert.fail());
    });
    assert.equal((await ask(sidecar, 'http://nowhere.example.org/')).status, 503);
    assert.equal(sidecar.log()[0]?.['response_flags'], 'DF');
  });

  it('is what opaque connections reach by SNI: any other is UH, in the cluster that leads nowhere', async () => {
    const place = await open();
    const sidecar = await start(place.port, { outbound: [{ protocol: 'auto', port: 0, to: ['*/*'] }] });
    const hello = async (servername: string): Promise<void> => {
      const socket = connect({ host: '127.0.0.1', port: sidecar.outboundPort(), servername });
      socket.on('error', () => {});
      await new Promise((resolve) => void socket.once('close', resolve));
    };
    await hello('www.example.net');
    await eventually(() => sidecar.log().length > 0);
    const [entry] = sidecar.log();
    assert.deepEqual([entry?.['response_flags'], entry?.['upstream_cluster']], ['UH', 'BlackHoleCluster']);
    const [closed] = await sidecar.series('istio_tcp_connections_closed_total');
    assert.equal(closed?.labels['destination_service_name'], 'BlackHoleCluster');
  });
});
