import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { endpointSliceOf } from '../../src/resources/endpoint-slice.ts';
import { findKind, RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { nodeOf } from '../../src/resources/node.ts';
import { podOf } from '../../src/resources/pod.ts';
import { parseService } from '../../src/resources/service.ts';
import { clusterResource, endpointSlice, node, pod, podObject, service } from './cluster-resource.ts';

describe('what is kept of a Pod', () => {
  it('has its addresses of both families, the primary one first', () => {
    const addresses = (status: object): readonly string[] => podOf(pod({ status: { ...status } })).addresses;
    assert.deepEqual(addresses({ podIP: 'fd00::1', podIPs: [{ ip: 'fd00::1' }, { ip: '10.0.0.7' }] }), [
      'fd00::1',
      '10.0.0.7',
    ]);
    assert.deepEqual(addresses({ podIP: undefined, podIPs: [] }), []);
    assert.deepEqual(addresses({ podIP: 'none', podIPs: [{ ip: 7 }, 'x', { ip: 'fe80::1%eth0' }] }), []);
    assert.deepEqual(addresses({ podIP: 'FD00:0::1', podIPs: [{ ip: 'fd00::1' }] }), ['fd00::1']);
  });

  it('has the TCP ports of its containers, and of init containers that go on beside them', () => {
    const ports = podOf(
      pod({
        spec: {
          containers: [
            {
              ports: [
                { name: 'http', containerPort: 8080 },
                { containerPort: 9000, protocol: 'TCP' },
              ],
            },
            { ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }, { containerPort: 0 }] },
            { name: 'none' },
          ],
          initContainers: [
            { restartPolicy: 'Always', ports: [{ name: 'beside', containerPort: 7000 }] },
            { ports: [{ name: 'before', containerPort: 7001 }] },
          ],
        },
      }),
    ).ports;
    assert.deepEqual(ports, [
      { name: 'http', port: 8080 },
      { name: '', port: 9000 },
      { name: 'beside', port: 7000 },
    ]);
  });

  it('says whether it is ready for calls: not before it is, not once it is to go, and not once it has ended', () => {
    const of = (parts: Parameters<typeof pod>[0]): [boolean, boolean] => {
      const { ready, over } = podOf(pod(parts));
      return [ready, over];
    };
    assert.deepEqual(of({}), [true, false]);
    assert.deepEqual(of({ ready: false }), [false, false]);
    assert.deepEqual(of({ status: { conditions: undefined } }), [false, false]);
    assert.deepEqual(of({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }), [false, false]);
    assert.deepEqual(of({ metadata: { deletionTimestamp: null } }), [true, false]);
    assert.deepEqual(of({ ready: false, status: { phase: 'Succeeded' } }), [false, true]);
    assert.deepEqual(of({ status: { phase: 'Failed' } }), [true, true]);
  });

  it('says what runs it, without the parts of names that change', () => {
    const owner = (kind: string, name: string, labels: Record<string, string> = {}): string => {
      const ownerReferences = [
        { kind: 'Other', name: 'owner' },
        { kind, name, controller: true },
      ];
      const found = podOf(pod({ labels, metadata: { ownerReferences } })).owner;
      return `${found.kind} ${found.name}`;
    };
    assert.equal(owner('ReplicaSet', 'shop-web-5d4', { 'pod-template-hash': '5d4' }), 'Deployment shop-web');
    assert.equal(owner('ReplicaSet', 'shop-web-5d4'), 'Pod shop-web-5d4', 'a ReplicaSet of its own');
    assert.equal(owner('ReplicaSet', '-5d4', { 'pod-template-hash': '5d4' }), 'Pod -5d4');
    assert.equal(owner('Job', 'report-29012345'), 'CronJob report');
    assert.equal(owner('Job', 'report-1'), 'Job report-1');
    assert.equal(owner('StatefulSet', 'db'), 'Pod db');
    assert.equal(owner('DaemonSet', ''), 'Pod catalog-0');
    assert.deepEqual(podOf(pod()).owner, { kind: 'Pod', name: 'catalog-0' });
  });

  it('is little, whatever stands in the object', () => {
    const object = podObject({
      metadata: { annotations: { long: 'x'.repeat(100_000) }, managedFields: [{ long: 'x'.repeat(100_000) }] },
      spec: { volumes: Array.from({ length: 100 }, () => ({ name: 'x'.repeat(100) })) },
    });
    assert.ok(JSON.stringify(clusterResource(object).spec).length < 200);
  });

  it('has no identity where its service account is none', () => {
    assert.equal(podOf(pod({ spec: { serviceAccountName: 'a/../b' } })).serviceAccount, '');
    assert.equal(podOf(pod({ spec: { serviceAccountName: undefined } })).serviceAccount, '');
  });
});

describe('what is kept of an EndpointSlice', () => {
  const endpoints = [{ addresses: ['10.9.0.1'], conditions: { ready: true }, targetRef: { kind: 'Pod', name: 'a' } }];
  const ports = [{ name: 'http', port: 8080, protocol: 'TCP' }];

  it('is nothing where the controller of Kubernetes wrote it for a selector', () => {
    const labels = {
      'kubernetes.io/service-name': 'catalog',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    };
    assert.deepEqual(endpointSlice({ addressType: 'IPv4', endpoints, ports }, { labels }).spec, {});
    assert.deepEqual(endpointSlice({ endpoints, ports }, { labels: {} as never }).spec, {}, 'of no service');
  });

  it('has the endpoints and ports that somebody else wrote', () => {
    const slice = endpointSliceOf(
      endpointSlice({
        addressType: 'IPv4',
        endpoints: [
          ...endpoints,
          { addresses: ['10.9.0.2'], conditions: { ready: false }, zone: 'a' },
          { addresses: ['10.9.0.3'] },
          { addresses: ['10.9.0.4'], conditions: { ready: true, terminating: true } },
          { addresses: [] },
          { addresses: ['name.example'] },
        ],
        ports: [...ports, { name: 'dns', port: 53, protocol: 'UDP' }, { port: 9 }, { name: 'all' }],
      }),
    );
    assert.deepEqual(
      slice.endpoints.map(({ address, ready, zone }) => [address, ready, zone]),
      [
        ['10.9.0.1', true, ''],
        ['10.9.0.2', false, 'a'],
        ['10.9.0.3', true, ''],
        ['10.9.0.4', false, ''],
      ],
    );
    assert.deepEqual([slice.service, slice.ports], ['catalog', { http: 8080, '': 9 }]);
    const [named] = endpointSliceOf(
      endpointSlice({ addressType: 'FQDN', endpoints: [{ addresses: ['db.example'] }] }),
    ).endpoints;
    assert.deepEqual([named?.address, named?.hostname], ['', 'db.example']);
  });
});

describe('what is kept of a Node', () => {
  it('is where it is', () => {
    const of = (labels: Record<string, string>): string => nodeOf(node('n', labels)).locality;
    const region = { 'topology.kubernetes.io/region': 'eu' };
    const zone = { 'topology.kubernetes.io/zone': 'eu-1' };
    assert.equal(of({ ...region, ...zone, 'topology.istio.io/subzone': 'rack' }), 'eu/eu-1/rack');
    assert.equal(of(region), 'eu');
    assert.equal(of(zone), '/eu-1');
    assert.equal(of({ 'failure-domain.beta.kubernetes.io/region': 'old' }), 'old');
    assert.equal(of({ other: 'x' }), '');
  });
});

describe('what is kept of a Service', () => {
  it('is what its reader knows, also where the API server knows more', () => {
    const spec = {
      selector: { app: 'catalog' },
      clusterIP: '10.1.0.1',
      clusterIPs: ['10.1.0.1', 'fd00::1'],
      ports: [{ name: 'http', port: 80, targetPort: 'web', protocol: 'TCP', nodePort: 3, appProtocolHint: 'new' }],
      somethingNew: { a: 1 },
      externalName: null,
    };
    const { value, issues } = parseService(service(spec));
    assert.deepEqual(issues, []);
    assert.deepEqual(value?.clusterIPs, ['10.1.0.1', 'fd00::1']);
    assert.deepEqual(value.ports, [{ name: 'http', port: 80, transport: 'TCP', protocol: 'http', targetPort: 'web' }]);
  });

  it('has neither addresses nor workloads where it is another name for something', () => {
    const { value } = parseService(
      service({ type: 'ExternalName', externalName: 'DB.example.', selector: { app: 'x' }, clusterIP: '10.0.0.1' }),
    );
    assert.deepEqual([value?.externalName, value?.clusterIPs, value?.selector], ['db.example', [], {}]);
  });
});

describe('kinds that only a cluster has', () => {
  const cluster = RESOURCE_KINDS.filter(({ clusterOnly }) => clusterOnly);

  it('cannot be named by somebody who edits a folder', () => {
    assert.deepEqual(
      cluster.map(({ kind }) => kind),
      ['Pod', 'EndpointSlice', 'Node'],
    );
    for (const { kind, plural } of cluster)
      assert.deepEqual([findKind(kind), findKind(plural)], [undefined, undefined]);
  });

  it('are read whatever an API server sends', () => {
    const words = `metadata spec status labels ownerReferences podIP podIPs ip ips phase Running conditions type Ready
      containers initContainers ports name containerPort port protocol TCP endpoints addresses addressType FQDN zone
      kubernetes.io/service-name catalog restartPolicy Always deletionTimestamp controller kind ReplicaSet Job
      hostNetwork serviceAccountName nodeName 10.0.0.1 ::1 clusterIPs clusterIP selector __proto__ constructor`;
    const word = fc.constantFrom(...words.split(/\s+/));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom(null, true, false, 0, 80, -1, 1e9, 1.5, ''),
        word,
        fc.string({ maxLength: 8 }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(word, tie('value'), { maxKeys: 6 }),
      ),
    }));
    const read = { Pod: podOf, EndpointSlice: endpointSliceOf, Node: nodeOf, Service: parseService };
    // As it should be in most places, and anything in some.
    const nearly = (shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
      fc.oneof({ arbitrary: fc.record(shape, { requiredKeys: [] }), weight: 5 }, value);
    const many = (shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> =>
      fc.oneof({ arbitrary: fc.array(nearly(shape), { maxLength: 3 }), weight: 5 }, value);
    const text = fc.oneof(word, value);
    const ports = many({ name: text, port: value, containerPort: fc.oneof(fc.integer({ max: 70_000 }), value) });
    const body = fc.record({
      metadata: nearly({ labels: fc.dictionary(word, text), ownerReferences: many({ kind: text, name: text }) }),
      spec: nearly({ containers: many({ ports }), serviceAccountName: text, ports, clusterIP: text, selector: value }),
      status: nearly({ podIP: text, podIPs: many({ ip: text }), conditions: many({ type: text, status: text }) }),
      endpoints: many({ addresses: fc.oneof(fc.array(text), value), conditions: value }),
      ports,
      addressType: word,
    });
    let kept = 0;
    fc.assert(
      fc.property(body, (object) => {
        for (const { kind, reduce } of RESOURCE_KINDS) {
          if (reduce === undefined) continue;
          const spec = reduce(object);
          kept += Object.keys(spec).length > 1 ? 1 : 0;
          const reader = read[kind as keyof typeof read];
          // What was kept can be sent on and kept again: JSON, and nothing in it lost or made up.
          const again: typeof spec = JSON.parse(JSON.stringify(spec));
          assert.deepEqual(reader({ spec: again, name: 'x' }), reader({ spec, name: 'x' }));
          // And what is not as it was kept cannot harm either.
          reader({ spec: object, name: 'x' });
        }
      }),
      { numRuns: 2_000 },
    );
    assert.ok(kept > 100, `${kept}`);
  });
});
