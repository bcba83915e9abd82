import { strict as assert } from 'node:assert';
import { modelOf } from '../../../ca/distribution/mesh-model.ts';
import type { PlacedWorkload } from '../../../ca/distribution/placed-workload.ts';
import { workloadResource, serviceResource } from '../../../ca/distribution/address-resource.ts';
import { ADDRESS, AppProtocol, LoadBalancingMode, type Workload } from '../../../src/wire/message-type.ts';
import { networking } from '../../resources/yaml-resource.ts';
import { clusterSnapshotOf, snapshotOf } from './mesh.ts';

const OPTIONS = { clusterId: 'c1', rootNamespace: 'sealwright-system', trustDomain: 'cluster.local' };

const workloadEntry = (spec: string): string => networking('WorkloadEntry', spec);
const message = (placed: PlacedWorkload): Workload => {
  const { type } = ADDRESS.decode(workloadResource(placed, OPTIONS).body);
  if (type.case !== 'workload') throw new Error('no workload');
  return type.value;
};
const peerAuthentication = (spec: string, namespace = 'shop'): string =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: ${namespace}}\nspec: ${spec}\n`;
const service = (ports: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: svc, namespace: shop}\nspec: {selector: {app: a}, clusterIP: 10.1.0.1, ports: ${ports}}\n`;

const SOURCES = { 'a folder': snapshotOf, 'a cluster': clusterSnapshotOf };

for (const [source, read] of Object.entries(SOURCES)) {
  describe(`the model of the mesh, from ${source}`, () => {
    const modelled = (...texts: string[]) => modelOf(read(texts), OPTIONS);
    const only = (...texts: string[]): PlacedWorkload => {
      const { workloads } = modelled(...texts);
      assert.equal(workloads.length, 1);
      return workloads[0]!;
    };
    it('has a sidecar in front of a workload that has a service account, unless its label says otherwise', () => {
      const cases: [spec: string, sidecar: boolean][] = [
        ['{address: 10.0.0.1}', false],
        ['{address: 10.0.0.1, serviceAccount: a}', true],
        ['{address: 10.0.0.1, serviceAccount: a, labels: {security.istio.io/tlsMode: disabled}}', false],
        ['{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}', true],
        // What means nothing must not open a way for plaintext.
        ['{address: 10.0.0.1, serviceAccount: a, labels: {security.istio.io/tlsMode: disable}}', true],
      ];
      for (const [spec, sidecar] of cases) assert.equal(only(workloadEntry(spec)).workload.sidecar, sidecar, spec);
    });

    it('demands mTLS of nothing that is outside of the mesh and has no sidecar, whatever a policy says', () => {
      const entry = (location: string, more = ''): string =>
        networking(
          'ServiceEntry',
          `{hosts: [db.example.org], location: ${location}, resolution: STATIC, endpoints: [{address: 10.0.0.9${more}}], ports: [{name: tcp, number: 5432, protocol: TCP}]}`,
        );
      const strict = peerAuthentication('{mtls: {mode: STRICT}}', 'sealwright-system');
      assert.equal(only(entry('MESH_EXTERNAL'), strict).mode, 'DISABLE');
      assert.equal(only(entry('MESH_EXTERNAL', ', serviceAccount: db'), strict).mode, 'STRICT', 'it has a sidecar');
      assert.equal(only(entry('MESH_INTERNAL'), strict).mode, 'STRICT');
      const selecting = (name: string, location: string): string =>
        networking(
          'ServiceEntry',
          `{hosts: [${name}.example.org], location: ${location}, resolution: STATIC, workloadSelector: {labels: {app: db}}, ports: [{name: tcp, number: 5432, protocol: TCP}]}`,
        ).replace('name: x', `name: ${name}`);
      const workload = workloadEntry('{address: 10.0.0.9, labels: {app: db}}');
      assert.equal(only(workload, selecting('a', 'MESH_EXTERNAL'), strict).mode, 'DISABLE');
      const both = [selecting('a', 'MESH_EXTERNAL'), selecting('b', 'MESH_INTERNAL')];
      assert.equal(only(workload, ...both, strict).mode, 'STRICT', 'something in the mesh is behind it too');
    });

    it('says of a service that chooses no workload that calls go where their caller says', () => {
      const modeOf = (resolution: string): number | undefined => {
        const spec = `{hosts: ["*.example.org"], resolution: ${resolution}, ports: [{name: http, number: 80, protocol: HTTP}]}`;
        const [found] = modelled(networking('ServiceEntry', spec)).services;
        const { type } = ADDRESS.decode(serviceResource(found ?? assert.fail()).body);
        return type.case === 'service' ? type.value.loadBalancing?.mode : assert.fail();
      };
      assert.equal(modeOf('NONE'), LoadBalancingMode.PASSTHROUGH);
      assert.equal(modeOf('DYNAMIC_DNS'), LoadBalancingMode.PASSTHROUGH);
      assert.equal(modeOf('STATIC'), undefined);
    });

    it('reads labels of the spec and of the metadata, which win', () => {
      const text = workloadEntry('{address: 10.0.0.1, labels: {app: a, version: v1}}').replace(
        'namespace: shop}',
        'namespace: shop, labels: {app: b}}',
      );
      const placed = only(text);
      assert.deepEqual(placed.workload.labels, { app: 'b', version: 'v1' });
      const { canonicalName, canonicalRevision } = message(placed);
      assert.deepEqual([canonicalName, canonicalRevision], ['b', 'v1']);
    });

    it('finds the port of a workload behind each port of a service', () => {
      const ports =
        '[{name: http, port: 80}, {name: admin, port: 81, targetPort: 9000}, {name: web, port: 82, targetPort: metrics}, {name: none, port: 83, targetPort: ghost}]';
      const placed = only(
        workloadEntry('{address: 10.0.0.1, labels: {app: a}, ports: {http: 8080, metrics: 9090}}'),
        service(ports),
      );
      const { services } = message(placed);
      assert.deepEqual(
        services['shop/svc.shop.svc.cluster.local']?.ports.map((port) => [
          port.servicePort,
          port.targetPort,
          port.appProtocol,
        ]),
        [
          [80, 8080, AppProtocol.HTTP11],
          [81, 9000, AppProtocol.UNKNOWN],
          [82, 9090, AppProtocol.UNKNOWN],
        ],
      );
    });

    it('has a Kubernetes Service under every name by which DNS finds it', () => {
      const { services, workloads } = modelled(
        workloadEntry('{address: 10.0.0.1, labels: {app: a}}'),
        service('[{port: 80}]'),
      );
      const [resource] = services.map(serviceResource);
      const names = [
        'shop/svc.shop.svc',
        'shop/svc.shop',
        'shop/svc',
        '*/svc.shop.svc',
        '*/svc.shop',
        '*/svc.shop.svc.cluster.local',
      ];
      assert.equal(resource?.name, 'shop/svc.shop.svc.cluster.local');
      assert.deepEqual(resource?.aliases, [...names, '/10.1.0.1']);
      const behind = workloads.map((placed) => workloadResource(placed, OPTIONS));
      assert.deepEqual(behind[0]?.aliases, ['/10.0.0.1', 'shop/svc.shop.svc.cluster.local', ...names]);
    });

    it('knows the mTLS mode of each port by port, workload, namespace and mesh', () => {
      const entry = workloadEntry('{address: 10.0.0.1, labels: {app: a}, ports: {http: 8080}}');
      assert.equal(only(entry).mode, 'PERMISSIVE');
      const mesh = peerAuthentication('{mtls: {mode: STRICT}}', 'sealwright-system');
      assert.equal(only(entry, mesh).mode, 'STRICT');
      const own =
        '{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}, 9999: {mode: PERMISSIVE}}}';
      const placed = only(entry, mesh, peerAuthentication(own));
      assert.equal(placed.mode, 'STRICT');
      assert.deepEqual(
        placed.ports.map(({ number, mode, exposed }) => [number, mode, exposed]),
        [
          [8080, 'DISABLE', true],
          [9999, 'PERMISSIVE', false],
        ],
      );
    });

    it('takes the endpoints that a ServiceEntry lists for workloads, and its hosts where DNS is to find them', () => {
      const listed = networking(
        'ServiceEntry',
        '{hosts: [a.example, b.example], ports: [{name: http, number: 80, protocol: HTTP, targetPort: 8080}], resolution: STATIC, endpoints: [{address: 10.0.0.1, serviceAccount: x}, {address: 10.0.0.2, ports: {http: 81}, weight: 3, locality: eu/1}]}',
      );
      const { workloads } = modelled(listed);
      assert.deepEqual(
        workloads.map(({ workload, memberships }) => [
          workload.uid,
          workload.sidecar,
          memberships.map((each) => [each.service.key, each.ports.map(({ target }) => target)]),
        ]),
        [
          [
            'c1/networking.istio.io/ServiceEntry/shop/x/10.0.0.1',
            true,
            [
              ['shop/a.example', [8080]],
              ['shop/b.example', [8080]],
            ],
          ],
          [
            'c1/networking.istio.io/ServiceEntry/shop/x/10.0.0.2',
            false,
            [
              ['shop/a.example', [81]],
              ['shop/b.example', [81]],
            ],
          ],
        ],
      );
      const second = message(workloads[1]!);
      assert.deepEqual([second.capacity, second.locality?.region, second.locality?.zone], [3, 'eu', '1']);

      const byName = networking(
        'ServiceEntry',
        '{hosts: [a.example, b.example], ports: [{name: http, number: 80, protocol: HTTP}], resolution: DNS}',
      );
      assert.deepEqual(
        modelled(byName).workloads.map(({ workload, memberships }) => [
          workload.hostname,
          memberships.map((each) => each.service.key),
        ]),
        [
          ['a.example', ['shop/a.example']],
          ['b.example', ['shop/b.example']],
        ],
      );
      const none = networking(
        'ServiceEntry',
        '{hosts: ["*.example"], ports: [{name: tls, number: 443, protocol: TLS}]}',
      );
      const model = modelled(none);
      assert.deepEqual([model.workloads.length, model.services.map(({ key }) => key)], [0, ['shop/*.example']]);
    });

    it('writes an address of IPv6 in its shortest form, and its sixteen bytes', () => {
      const placed = only(workloadEntry('{address: "FD00:0:0::1", network: n1}'));
      const resource = workloadResource(placed, OPTIONS);
      assert.deepEqual(resource.aliases, ['n1/fd00::1']);
      assert.equal(Buffer.from(message(placed).addresses[0] ?? []).toString('hex'), 'fd000000000000000000000000000001');
    });

    it('has the same version for the same content, and another for any other', () => {
      const version = (spec: string): string => workloadResource(only(workloadEntry(spec)), OPTIONS).version;
      const base = version('{address: 10.0.0.1, labels: {a: "1", b: "2"}, serviceAccount: x}');
      assert.equal(version('{serviceAccount: x, labels: {b: "2", a: "1"}, address: 10.0.0.1}'), base);
      for (const other of [
        '{address: 10.0.0.2, labels: {a: "1", b: "2"}, serviceAccount: x}',
        '{address: 10.0.0.1, labels: {a: "1", b: "3"}, serviceAccount: x}',
        '{address: 10.0.0.1, labels: {a: "1", b: "2"}, serviceAccount: y}',
        '{address: 10.0.0.1, labels: {a: "1", b: "2"}, serviceAccount: x, ports: {http: 80}}',
      ]) {
        assert.notEqual(version(other), base);
      }
    });
  });
}
