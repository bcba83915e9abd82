import { strict as assert } from 'node:assert';
import type { Endpoint } from '../../../proxy/outbound/endpoint.ts';
import { capturedPort, proxyPort } from '../../../proxy/outbound/outbound-port.ts';
import { Router } from '../../../proxy/outbound/router.ts';
import type { Route } from '../../../proxy/outbound/route.ts';
import { createIstioMetrics } from '../../../proxy/report/istio-metrics.ts';
import { Deadlines } from '../../../proxy/tcp/deadlines.ts';
import { UpstreamClusters } from '../../../proxy/upstream/upstream-clusters.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { TestMesh } from '../../fakes/mesh-certificates.ts';
import {
  service,
  sidecarConfig,
  TestBook,
  TestConfig,
  TestIdentitySource,
  workload,
  type ConfigFields,
} from '../sidecar-world.ts';

const HOSTS = [{ namespace: '*', host: '*', excluded: false }];
const WILD = '*.example.org';

describe('the way of a call', () => {
  let rootsPem: string;
  before(async () => {
    rootsPem = (await TestMesh.create()).rootPem;
  });

  const world = (more: Partial<ConfigFields> = {}) => {
    const clock = new FakeClock();
    const book = new TestBook();
    book.otherwise = { kind: 'outside' };
    const looked: string[] = [];
    const config = (): ReturnType<typeof sidecarConfig> =>
      sidecarConfig({ workload: workload({ name: 'front', address: '10.0.0.1' }), rootsPem, ...more });
    const source = new TestConfig(config());
    const clusters = new UpstreamClusters<Endpoint>({ clock, deadlines: new Deadlines(clock), random: () => 0 });
    const router = new Router({
      clock,
      config: source,
      identity: new TestIdentitySource(),
      book,
      clusters,
      verifyPeer: () => ({ reason: 'nobody is called' }),
      lookup: async (host) => {
        looked.push(host);
        return /^[\d.]+$/.test(host) ? [host] : ['192.0.2.7', '192.0.2.8'];
      },
      isOwn: () => false,
      istio: createIstioMetrics({ metrics: createMetrics({ processMetrics: false }) }),
    });
    return { router, book, looked, source, config, clusters };
  };
  const captured = (address: string, port = 80) => capturedPort({ address, port }, { hosts: HOSTS, protocol: 'http' });
  const to = async (router: Router, target: Parameters<Router['route']>[0] | undefined): Promise<string[]> => {
    const route: Route = await router.route(target ?? assert.fail('no target'));
    return route.kind === 'refused'
      ? [route.detail]
      : [route.cluster.name, ...route.cluster.members.map(({ destination }) => destination)];
  };

  it('leads to what was called where it is intercepted, by the entry of its name', async () => {
    const { router, book, looked } = world({ outboundTrafficPolicy: 'REGISTRY_ONLY' });
    const wild = { kind: 'service', service: service(WILD, [80], { passthrough: true }), workloads: [] } as const;
    book.set('www.example.org', wild);
    assert.deepEqual(await to(router, captured('192.0.2.99').targetOf('www.example.org')), [
      `outbound|80||${WILD}`,
      '192.0.2.99:80',
    ]);
    assert.deepEqual(looked, [], 'the caller has resolved the name');
    assert.deepEqual(await to(router, captured('192.0.2.99').targetOf('www.example.net')), ['direct_response']);
    assert.deepEqual(await to(router, captured('192.0.2.99', 81).targetOf('www.example.org')), ['direct_response']);
  });

  it('leads to a workload of the mesh that is called, whatever name is given (invariant 4)', async () => {
    const { router, book } = world();
    book.set('www.example.org', {
      kind: 'service',
      service: service(WILD, [80], { passthrough: true }),
      workloads: [],
    });
    book.addWorkload(workload({ name: 'catalog', address: '10.0.0.9', sidecar: false, mode: 'STRICT' }));
    const target = captured('10.0.0.9').targetOf('www.example.org');
    assert.deepEqual(await to(router, target), ['no_healthy_upstream{mtls}']);
  });

  it('leads to the service at the address that is called, and to none that a name leads to', async () => {
    const { router, book } = world();
    const wild = { kind: 'service', service: service(WILD, [80], { passthrough: true }), workloads: [] } as const;
    book.set('www.example.org', wild);
    const catalog = service('catalog.shop.svc.cluster.local', [80]);
    const behind = workload({
      name: 'catalog',
      address: '10.0.0.9',
      sidecar: false,
      services: { [catalog.key]: { 80: 8080 } },
    });
    for (const address of ['10.1.0.1', '192.0.2.7']) {
      book.set(address, { kind: 'service', service: catalog, workloads: [behind] });
    }
    assert.deepEqual(await to(router, captured('10.1.0.1').targetOf('www.example.org')), [
      'outbound|80||catalog.shop.svc.cluster.local',
      '10.0.0.9:8080',
    ]);
    assert.deepEqual(await to(router, proxyPort(HOSTS).targetOf('www.example.org')), ['route_not_found']);
  });

  it('is the same one until the configuration or what is called changes, and is then made of the same endpoints', async () => {
    const { router, book, source, config } = world();
    const catalog = service('catalog.shop.svc.cluster.local', [80]);
    const place = (address: string) =>
      workload({ name: address, address, sidecar: false, services: { [catalog.key]: { 80: 8080 } } });
    const [one, two, three] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(place);
    assert.ok(one && two && three);
    const target = proxyPort(HOSTS).targetOf(catalog.hostname) ?? assert.fail();
    const found = (): { route: Route; pools: unknown[] } => {
      const route = router.route(target);
      assert.ok(!(route instanceof Promise) && route.kind === 'cluster');
      return { route, pools: route.cluster.members.map(({ host }) => host.pool) };
    };
    book.set(catalog.hostname, { kind: 'service', service: catalog, workloads: [one, two] });
    const first = found();
    assert.equal(found().route, first.route);
    book.set(catalog.hostname, { kind: 'service', service: catalog, workloads: [two, three] });
    const second = found();
    assert.notEqual(second.route, first.route);
    assert.equal(second.pools[0], first.pools[1]);
    source.set(config());
    assert.deepEqual(found().pools, second.pools);
  });

  it('leads to a destination that is counted, also where so many others were called that it was forgotten', () => {
    const { router, book, clusters } = world();
    const catalog = service('catalog.shop.svc.cluster.local', [80]);
    const behind = workload({
      name: 'c',
      address: '10.0.0.9',
      sidecar: false,
      services: { [catalog.key]: { 80: 80 } },
    });
    book.set(catalog.hostname, { kind: 'service', service: catalog, workloads: [behind] });
    const target = proxyPort(HOSTS).targetOf(catalog.hostname) ?? assert.fail();
    const found = () => {
      const route = router.route(target);
      assert.ok(!(route instanceof Promise) && route.kind === 'cluster');
      return route.cluster;
    };
    const first = found();
    for (let index = 0; index < 1_100; index += 1) clusters.open(`${index}`, `${index}`);
    assert.ok(![...clusters.all].includes(first));
    const now = found();
    assert.ok([...clusters.all].includes(now));
    assert.deepEqual(now.members.length, 1);
  });
});
