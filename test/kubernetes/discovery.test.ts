import { strict as assert } from 'node:assert';
import { modelOf } from '../../ca/distribution/mesh-model.ts';
import type { PlacedWorkload } from '../../ca/distribution/placed-workload.ts';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { ClusterStore } from '../../src/resources/cluster-store.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { createHubWith, JoinedSidecar } from '../ca/distribution/mesh.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

const OPTIONS = { clusterId: 'Kubernetes', rootNamespace: 'sealwright-system' };
const DOMAIN = 'svc.cluster.local';

describe('what is discovered in a cluster (slow)', () => {
  const cluster = useCluster();
  let client: KubernetesClient;
  let store: ClusterStore;

  before(async function () {
    this.timeout(120_000);
    await applyCrds(cluster());
    client = await createKubernetesClient({
      config: { kubeconfig: cluster().plane.adminKubeconfig },
      clock: realClock,
    });
    const logger = new RecordingLogger();
    store = new ClusterStore({ client, ...OPTIONS, clock: realClock, random: Math.random, logger });
    await store.synced;
  });
  after(() => {
    store?.close();
    client?.close();
  });

  const workloads = (namespace: string): PlacedWorkload[] =>
    [...modelOf(store.snapshot, OPTIONS).workloads].filter(({ workload }) => workload.namespace === namespace);
  /** `address:port` of what is called behind a port of a Service, in order. */
  const called = (namespace: string, service: string, portName: string): string[] =>
    workloads(namespace)
      .filter(({ workload }) => workload.healthy)
      .flatMap(({ workload, memberships }) => {
        const own = memberships.find(
          ({ service: { key } }) => key === `${namespace}/${service}.${namespace}.${DOMAIN}`,
        );
        const port = own?.ports.find((each) => each.service.name === portName)?.target;
        return port === undefined ? [] : workload.addresses.map((address) => `${address}:${port}`);
      })
      .sort();
  /** The same as the controller of Kubernetes found it. */
  const sliced = async (namespace: string, service: string, portName: string): Promise<string[]> => {
    const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`);
    const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${selector}`;
    const { items } = (await cluster().ask('GET', path)) as unknown as {
      items: {
        endpoints: { addresses: string[]; conditions: { ready: boolean } }[] | null;
        ports: { name: string; port: number }[];
      }[];
    };
    return items
      .flatMap(({ endpoints, ports }) =>
        (endpoints ?? [])
          .filter(({ conditions }) => conditions.ready)
          .flatMap(({ addresses }) =>
            ports.filter(({ name }) => name === portName).map(({ port }) => `${addresses[0]}:${port}`),
          ),
      )
      .sort();
  };
  const service = (namespace: string, name: string, spec: object): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec,
  });

  it('is what Kubernetes itself finds behind a Service, through all that becomes of its pods', async () => {
    const namespace = await cluster().namespace('found', ['catalog']);
    const pod = (name: string, ip: string, more: object = {}) =>
      cluster().pod({
        namespace,
        name,
        ip,
        serviceAccount: 'catalog',
        labels: { app: 'catalog' },
        ports: { web: 8080 },
        ...more,
      });
    const ports = [
      { name: 'http', port: 80, targetPort: 'web' },
      { name: 'admin', port: 81, targetPort: 9000 },
    ];
    const selector = { app: 'catalog' };
    await cluster().apply([
      service(namespace, 'catalog', { selector, ports }),
      service(namespace, 'early', { selector, ports, publishNotReadyAddresses: true, clusterIP: 'None' }),
    ]);
    await pod('ready', '10.7.0.1');
    await pod('starting', '10.7.0.2', { ready: false });
    await pod('other-port', '10.7.0.3', { ports: { web: 8081 } });
    await pod('going', '10.7.0.4', { spec: { terminationGracePeriodSeconds: 600 } });
    await pod('elsewhere', '10.7.0.5', { labels: { app: 'other' } });
    await pod('portless', '10.7.0.6', { ports: {} });
    await pod('done', '10.7.0.7', { phase: 'Succeeded' });
    const alike = async (http: string[], admin: string[]): Promise<void> => {
      for (const [name, wanted] of [
        ['http', http],
        ['admin', admin],
      ] as const) {
        await until(() => called(namespace, 'catalog', name).join() === wanted.join());
        await until(async () => (await sliced(namespace, 'catalog', name)).join() === wanted.join());
      }
    };
    const all = ['10.7.0.1:9000', '10.7.0.3:9000', '10.7.0.4:9000', '10.7.0.6:9000'];
    await alike(['10.7.0.1:8080', '10.7.0.3:8081', '10.7.0.4:8080'], all);

    await cluster().podStatus({ namespace, name: 'starting' }, { ip: '10.7.0.2' });
    await cluster().ask('DELETE', `/api/v1/namespaces/${namespace}/pods/going`);
    await cluster().podStatus({ namespace, name: 'ready' }, { ip: '10.7.0.1', ready: false });
    await alike(['10.7.0.2:8080', '10.7.0.3:8081'], ['10.7.0.2:9000', '10.7.0.3:9000', '10.7.0.6:9000']);

    // Another selector, and labels that come under it.
    await cluster().apply([service(namespace, 'catalog', { selector: { app: 'other' }, ports })]);
    await alike(['10.7.0.5:8080'], ['10.7.0.5:9000']);
    const { code } = await cluster().kubectl(['-n', namespace, 'label', 'pod', 'starting', 'app=other', '--overwrite']);
    assert.equal(code, 0);
    await alike(['10.7.0.2:8080', '10.7.0.5:8080'], ['10.7.0.2:9000', '10.7.0.5:9000']);
    assert.ok(!store.snapshot.all.some(({ kind, spec }) => kind === 'EndpointSlice' && 'service' in spec));
  });

  it('is what somebody writes behind a Service without a selector, outside and in the mesh', async () => {
    const namespace = await cluster().namespace('written', ['db']);
    const labels = { 'security.istio.io/tlsMode': 'istio' };
    await cluster().pod({ namespace, name: 'db', ip: '10.8.0.1', serviceAccount: 'db', labels });
    await cluster().apply([
      service(namespace, 'db', { ports: [{ name: 'tcp', port: 5432 }] }),
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { namespace, name: 'db-1', labels: { 'kubernetes.io/service-name': 'db' } },
        addressType: 'IPv4',
        endpoints: [
          { addresses: ['10.8.0.1'] },
          { addresses: ['192.0.2.9'] },
          { addresses: ['192.0.2.10'], conditions: { ready: false } },
        ],
        ports: [{ name: 'tcp', port: 5433 }],
      },
    ]);
    await until(() => called(namespace, 'db', 'tcp').length === 2);
    assert.deepEqual(called(namespace, 'db', 'tcp'), ['10.8.0.1:5433', '192.0.2.9:5433']);
    const written = workloads(namespace).filter(({ workload }) => workload.kind === 'EndpointSlice');
    assert.deepEqual(
      written.map(({ workload: { addresses, serviceAccount, sidecar } }) => [addresses[0], serviceAccount, sidecar]),
      [
        ['10.8.0.1', 'db', true],
        ['192.0.2.9', '', false],
        ['192.0.2.10', '', false],
      ],
    );
  });

  it('knows where a pod is by its node, and follows the node', async () => {
    const namespace = await cluster().namespace('place');
    await cluster().pod({ namespace, name: 'a', ip: '10.9.0.1', node: 'far' });
    const zone = (name: string): Promise<unknown> =>
      cluster().kubectl(['label', 'node', 'far', `topology.kubernetes.io/zone=${name}`, '--overwrite']);
    for (const name of ['zone-1', 'zone-2']) {
      await zone(name);
      await until(() => workloads(namespace)[0]?.workload.locality === `/${name}`);
    }
  });

  it('is handed to the pod itself, and to the next one of its name only with its own credential', async () => {
    const { address } = CONTROL_TYPES;
    const namespace = await cluster().namespace('own', ['db']);
    const { distribution } = createHubWith({ discoversPods: true, store });
    const order = { namespace, name: 'db-0', ip: '10.10.0.1', serviceAccount: 'db' };
    const as = (uid: string) => ({
      workload: `${namespace}/db-0`,
      account: `${namespace}/db`,
      pod: { name: 'db-0', uid },
    });
    const first = await cluster().pod({ ...order, ready: false });
    await until(() => workloads(namespace).length === 1);
    const name = `Kubernetes//Pod/${namespace}/db-0`;
    const own = new JoinedSidecar(distribution, address, as(first)).subscribe(address, name);
    assert.deepEqual(own.names, [name]);
    await cluster().podStatus({ namespace, name: 'db-0' }, { ip: '10.10.0.1' });
    await until(() => own.settle().pushes === 2);
    await cluster().ask('DELETE', `/api/v1/namespaces/${namespace}/pods/db-0`);
    const second = await cluster().pod({ ...order, ip: '10.10.0.2' });
    await until(() => own.ended !== undefined);
    await until(() => workloads(namespace)[0]?.workload.addresses[0] === '10.10.0.2');
    assert.throws(() => new JoinedSidecar(distribution, address, as(first)), { code: 'subscriber_early' });
    assert.deepEqual(new JoinedSidecar(distribution, address, as(second)).subscribe(address, name).names, [name]);
    distribution.close();
  });
});
