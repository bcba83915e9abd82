import { strict as assert } from 'node:assert';
import { serviceResource, workloadResource } from '../../../ca/distribution/address-resource.ts';
import { modelOf } from '../../../ca/distribution/mesh-model.ts';
import type { PlacedWorkload } from '../../../ca/distribution/placed-workload.ts';
import { readDocuments } from './mesh.ts';
import { ADDRESS, HealthPolicy, NetworkMode, WorkloadStatus, WorkloadType } from '../../../src/wire/message-type.ts';
import { makeSnapshot } from '../../../src/resources/resource-store.ts';
import type { Resource } from '../../../src/resources/resource.ts';
import { endpointSlice, node, pod, service } from '../../resources/cluster-resource.ts';

const OPTIONS = { clusterId: 'c1', rootNamespace: 'sealwright-system', trustDomain: 'cluster.local' };

const model = (...resources: Resource[]) => modelOf(makeSnapshot(resources, 1), OPTIONS);
const only = (...resources: Resource[]): PlacedWorkload => {
  const { workloads } = model(...resources);
  assert.equal(workloads.length, 1);
  return workloads[0]!;
};
const message = (placed: PlacedWorkload) => {
  const { type } = ADDRESS.decode(workloadResource(placed, OPTIONS).body);
  return type.case === 'workload' ? type.value : assert.fail();
};
const aliases = (placed: PlacedWorkload): readonly string[] => workloadResource(placed, OPTIONS).aliases;
const strict = (namespace: string): Resource[] =>
  readDocuments(
    `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: ${namespace}}\nspec: {mtls: {mode: STRICT}}\n`,
  );
const SIDECAR = { app: 'catalog', 'security.istio.io/tlsMode': 'istio' };

describe('a Pod as a workload', () => {
  it('has the uid, the name and the identity that Istio gives it', () => {
    const { uid, name, namespace, serviceAccount, node: on, status } = message(only(pod()));
    assert.deepEqual(
      [uid, name, namespace, serviceAccount, on, status],
      ['c1//Pod/shop/catalog-0', 'catalog-0', 'shop', 'catalog', 'node-1', WorkloadStatus.HEALTHY],
    );
  });

  it('is found by each of its addresses', () => {
    const placed = only(pod({ ips: ['10.0.0.1', 'fd00::1'] }));
    assert.deepEqual(aliases(placed), ['/10.0.0.1', '/fd00::1']);
    assert.equal(message(placed).addresses.length, 2);
    const away = only(pod({ labels: { 'topology.istio.io/network': 'vm' } }));
    assert.deepEqual(aliases(away), ['vm/10.0.0.1']);
  });

  it('is not found by an address that is its machine’s, but by its services', () => {
    const placed = only(pod({ spec: { hostNetwork: true } }), service({ selector: { app: 'catalog' }, ports: [] }));
    assert.ok(aliases(placed).length > 0);
    assert.ok(!aliases(placed).some((alias) => alias.includes('10.0.0.1')));
    assert.equal(message(placed).networkMode, NetworkMode.HOST_NETWORK);
  });

  it('is found by the name that is its own alone, where it has one', () => {
    const names = aliases(only(pod({ name: 'db-0', spec: { subdomain: 'db' } })));
    assert.deepEqual(
      names.filter((name) => name.startsWith('*/')),
      ['*/db-0.db.shop.svc.cluster.local', '*/db-0.db.shop.svc', '*/db-0.db.shop', '*/db-0.db'],
    );
    const { hostname } = message(only(pod({ name: 'db-0', spec: { subdomain: 'db', hostname: 'first' } })));
    assert.equal(hostname, 'first.db.shop.svc.cluster.local');
    for (const spec of [{ hostname: 'x' }, { subdomain: 'a.b' }, { subdomain: 'db', hostname: 'a.b' }]) {
      assert.equal(message(only(pod({ name: 'db-0', spec }))).hostname, '');
    }
  });

  it('is none before it has an address, nor once it has ended', () => {
    assert.equal(model(pod({ ips: [] })).workloads.length, 0);
    assert.equal(model(pod({ status: { phase: 'Succeeded' } })).workloads.length, 0);
    assert.equal(model(pod({ status: { phase: 'Failed' } })).workloads.length, 0);
  });

  it('is not to be called while it is not ready, and once it is about to go', () => {
    assert.equal(message(only(pod({ ready: false }))).status, WorkloadStatus.UNHEALTHY);
    const going = pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
    assert.equal(message(only(going)).status, WorkloadStatus.UNHEALTHY);
  });

  it('has a sidecar only where whoever injects them says so', () => {
    const sidecar = (mode: string | undefined): boolean => {
      const labels: Record<string, string> = mode === undefined ? {} : { 'security.istio.io/tlsMode': mode };
      return only(pod({ labels })).workload.sidecar;
    };
    assert.deepEqual(
      [sidecar('istio'), sidecar(undefined), sidecar('disabled'), sidecar('yes')],
      [true, false, false, false],
    );
    // What a STRICT namespace demands is told of pods without a sidecar as well: callers refuse rather than speak plaintext.
    assert.equal(only(pod(), ...strict('shop')).mode, 'STRICT');
  });

  it('is where its node is, unless it says otherwise itself', () => {
    const where = (labels: Record<string, string>, ...nodes: Resource[]): string =>
      only(pod({ labels }), ...nodes).workload.locality;
    const eu = node('node-1', { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'eu-1' });
    assert.equal(where({}, eu, node('node-2', { 'topology.kubernetes.io/region': 'us' })), 'eu/eu-1');
    assert.equal(where({ 'istio-locality': 'us.us-2' }, eu), 'us/us-2');
    assert.equal(where({ 'topology.kubernetes.io/zone': 'eu-7' }), '/eu-7');
    assert.equal(where({}), '');
  });

  it('is named in metrics by what runs it', () => {
    const ownerReferences = [{ kind: 'ReplicaSet', name: 'catalog-5d4', controller: true }];
    const labels = { 'pod-template-hash': '5d4' };
    const { workloadName, workloadType, canonicalName, canonicalRevision } = message(
      only(pod({ labels, metadata: { ownerReferences } })),
    );
    assert.deepEqual(
      [workloadName, workloadType, canonicalName, canonicalRevision],
      ['catalog', WorkloadType.DEPLOYMENT, 'catalog', 'latest'],
    );
    assert.equal(message(only(pod({ labels: { app: 'a', version: 'v2' } }))).canonicalRevision, 'v2');
  });
});

describe('a Kubernetes Service in front of pods', () => {
  const http = { containers: [{ ports: [{ name: 'http', containerPort: 9090 }] }] };
  const targets = (placed: PlacedWorkload): [number, number][] =>
    placed.memberships.flatMap(({ ports }) =>
      ports.map((port): [number, number] => [port.service.number, port.target]),
    );

  it('reaches the ports that it targets, by number or by the name that the pod gives', () => {
    const ports = [
      { name: 'http', port: 80, targetPort: 8080 },
      { name: 'web', port: 81, targetPort: 'http' },
      { name: 'ghost', port: 82, targetPort: 'none' },
      { name: 'same', port: 83 },
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'sctp', port: 54, protocol: 'SCTP' },
    ];
    const placed = only(pod({ spec: http }), service({ selector: { app: 'catalog' }, ports }));
    assert.deepEqual(targets(placed), [
      [80, 8080],
      [81, 9090],
      [83, 83],
    ]);
  });

  it('says what is spoken at a port, and not what a container calls it', () => {
    const named = only(pod({ spec: http }));
    assert.deepEqual(
      named.ports.map(({ number, name, protocol }) => [number, name, protocol.facts]),
      [[9090, 'http', 0]],
    );
    const ports = [{ name: 'grpc-web', port: 80, targetPort: 9090 }];
    const behind = only(pod({ spec: http }), service({ selector: { app: 'catalog' }, ports }));
    assert.notEqual(behind.ports[0]?.protocol.facts, 0);
  });

  it('has no workloads of other namespaces, nor without a selector', () => {
    const elsewhere = service({ selector: { app: 'catalog' }, ports: [{ port: 80 }] }, { namespace: 'other' });
    const manual = service({ ports: [{ port: 80 }] }, { name: 'manual' });
    assert.deepEqual(targets(only(pod(), elsewhere, manual)), []);
  });

  it('is found by its addresses of both families, and headless by its names alone', () => {
    const of = (spec: object) => serviceResource(model(service({ ...spec, ports: [] })).services[0]!);
    const dual = of({ clusterIP: '10.1.0.1', clusterIPs: ['10.1.0.1', 'fd00::9'] });
    assert.deepEqual(
      dual.aliases.filter((alias) => alias.startsWith('/')),
      ['/10.1.0.1', '/fd00::9'],
    );
    const headless = of({ clusterIP: 'None', clusterIPs: ['None'] });
    assert.equal(headless.name, 'shop/catalog.shop.svc.cluster.local');
    assert.ok(!headless.aliases.some((alias) => alias.startsWith('/')));
  });

  it('is found by the domain of the cluster as well, where that is another', () => {
    const all = [pod({ name: 'db-0', spec: { subdomain: 'db' } }), service({ ports: [] })];
    const { services, workloads } = modelOf(makeSnapshot(all, 1), { ...OPTIONS, clusterDomain: 'corp.example' });
    const { name, aliases: also } = serviceResource(services[0]!);
    assert.equal(name, 'shop/catalog.shop.svc.cluster.local');
    assert.ok(also.includes('*/catalog.shop.svc.corp.example') && also.includes(`*/catalog.shop.svc.cluster.local`));
    assert.ok(aliases(workloads[0]!).includes('*/db-0.db.shop.svc.corp.example'));
  });

  it('is none where it is another name for something elsewhere, and not to be called where for something here', () => {
    const named = (externalName: string) => service({ type: 'ExternalName', externalName, ports: [{ port: 80 }] });
    assert.equal(model(named('db.example.com')).services.length, 0);
    const [here] = model(named('db.other.svc.cluster.local')).services;
    assert.deepEqual([here?.key, here?.ports], ['shop/catalog.shop.svc.cluster.local', []]);
  });

  it('says whether its workloads are to be called before they are ready', () => {
    const policy = (publishNotReadyAddresses: boolean) => {
      const [made] = model(service({ publishNotReadyAddresses, ports: [] })).services;
      const { type } = ADDRESS.decode(serviceResource(made!).body);
      return type.case === 'service' ? type.value.loadBalancing?.healthPolicy : assert.fail();
    };
    assert.deepEqual([policy(true), policy(false)], [HealthPolicy.ALLOW_ALL, undefined]);
  });
});

describe('an endpoint that no selector finds', () => {
  const slice = (address: string, parts: { readonly namespace?: string } = {}): Resource =>
    endpointSlice(
      { addressType: 'IPv4', endpoints: [{ addresses: [address] }], ports: [{ name: 'tcp', port: 5432 }] },
      parts,
    );
  const manual = service({ ports: [{ name: 'tcp', port: 1, targetPort: 'x' }] });
  const sliced = (...resources: Resource[]): PlacedWorkload =>
    model(...resources).workloads.find(({ workload }) => workload.kind === 'EndpointSlice') ?? assert.fail();

  it('stands behind the Service that its slice names, at the ports of the slice', () => {
    const placed = only(slice('192.0.2.1'), manual);
    assert.equal(placed.workload.uid, 'c1/discovery.k8s.io/EndpointSlice/shop/hand-made/192.0.2.1');
    assert.deepEqual(
      placed.memberships.map(({ service: { key }, ports }) => [key, ports[0]?.target]),
      [['shop/catalog.shop.svc.cluster.local', 5432]],
    );
  });

  it('is outside of the mesh, and bound by no policy of it, where nobody in the mesh has its address', () => {
    const placed = only(slice('192.0.2.1'), manual, ...strict('sealwright-system'));
    assert.deepEqual([placed.mode, placed.workload.sidecar], ['DISABLE', false]);
  });

  it('is the pod that has its address, wherever that is: its identity is wanted, by its own policies (invariant 5)', () => {
    const meshed = pod({ namespace: 'other', labels: SIDECAR, ips: ['10.0.0.1', 'fd00::1'] });
    const placed = sliced(slice('10.0.0.1'), manual, meshed, ...strict('other'));
    const { sidecar, namespace, serviceAccount } = placed.workload;
    assert.deepEqual([sidecar, namespace, serviceAccount, placed.mode], [true, 'other', 'catalog', 'STRICT']);
  });

  it('is no pod that only has the address of its machine', () => {
    const placed = sliced(slice('10.0.0.1'), manual, pod({ labels: SIDECAR, spec: { hostNetwork: true } }));
    assert.deepEqual([placed.workload.sidecar, placed.workload.serviceAccount], [false, '']);
  });

  it('is found by its Service alone: anybody may name any address', () => {
    const names = aliases(sliced(slice('10.0.0.1'), manual, pod()));
    assert.ok(names.length > 0 && !names.some((name) => name.includes('10.0.0.1')));
  });

  it('is of no Service of another namespace', () => {
    assert.deepEqual(only(slice('192.0.2.1', { namespace: 'other' }), manual).memberships, []);
  });
});
