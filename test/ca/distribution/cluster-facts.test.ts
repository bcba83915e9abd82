import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { workloadResource } from '../../../ca/distribution/address-resource.ts';
import { MeshModel, modelOf } from '../../../ca/distribution/mesh-model.ts';
import type { PlacedWorkload } from '../../../ca/distribution/placed-workload.ts';
import { SnapshotChanges } from '../../../ca/distribution/snapshot-changes.ts';
import { atOnce } from '../../../src/policy/slices.ts';
import { compareSnapshots, makeSnapshot } from '../../../src/resources/resource-store.ts';
import type { Resource } from '../../../src/resources/resource.ts';
import { networking } from '../../resources/yaml-resource.ts';
import { endpointSlice, node, pod, service } from '../../resources/cluster-resource.ts';
import { readDocuments } from './mesh.ts';

const OPTIONS = { clusterId: 'c1', rootNamespace: 'sealwright-system', trustDomain: 'cluster.local' };

const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const NAMESPACES = ['shop', 'other'];

/** A few objects of each kind, in a few states each, so that they meet. */
const resource: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .record({
      name: fc.constantFrom('a', 'b', 'c'),
      namespace: fc.constantFrom(...NAMESPACES),
      labels: fc.constantFrom({ app: 'x' }, { app: 'y' }, { 'security.istio.io/tlsMode': 'istio' }),
      ips: fc.subarray(ADDRESSES, { maxLength: 2 }),
      uid: fc.constantFrom('1', '2'),
      ready: fc.boolean(),
      node: fc.constantFrom('n1', 'n2', ''),
      hostNetwork: fc.boolean(),
      phase: fc.constantFrom('Running', 'Running', 'Failed'),
    })
    .map(({ node: nodeName, hostNetwork, phase, ...parts }) =>
      pod({ ...parts, spec: { nodeName, hostNetwork }, status: { phase } }),
    ),
  fc
    .record({ name: fc.constantFrom('n1', 'n2'), zone: fc.constantFrom('z1', 'z2') })
    .map(({ name, zone }) => node(name, { 'topology.kubernetes.io/zone': zone })),
  fc
    .record({
      name: fc.constantFrom('s', 't'),
      namespace: fc.constantFrom(...NAMESPACES),
      app: fc.constantFrom('x', 'y', ''),
    })
    .map(({ app, ...named }) =>
      service({ ports: [{ port: 80 }], ...(app === '' ? {} : { selector: { app } }) }, named),
    ),
  fc
    .record({
      name: fc.constantFrom('e', 'f'),
      namespace: fc.constantFrom(...NAMESPACES),
      of: fc.constantFrom('s', 't'),
      ips: fc.subarray([...ADDRESSES, '192.0.2.1']),
    })
    .map(({ of, ips, ...named }) => {
      const endpoints = ips.map((ip) => ({ addresses: [ip] }));
      return endpointSlice(
        { addressType: 'IPv4', endpoints, ports: [{ name: '', port: 8080 }] },
        { ...named, labels: { 'kubernetes.io/service-name': of } },
      );
    }),
  fc
    .record({ ip: fc.constantFrom(...ADDRESSES), namespace: fc.constantFrom(...NAMESPACES) })
    .map(({ ip, namespace }) => {
      const [entry] = readDocuments(
        networking('WorkloadEntry', `{address: ${ip}, serviceAccount: vm}`).replace('shop', namespace),
      );
      return entry ?? assert.fail();
    }),
);

const keyOf = ({ kind, namespace, name }: Resource): string => `${kind}/${namespace}/${name}`;

const told = (model: { readonly workloads: Iterable<PlacedWorkload> }): unknown =>
  [...model.workloads]
    .map((placed) => {
      const { name, version, aliases } = workloadResource(placed, OPTIONS);
      return [name, version, aliases];
    })
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));

describe('what resources of a cluster say of each other', () => {
  it('is the same taken in change by change as read at once', () => {
    let [changes, sliced] = [0, 0];
    const step = fc.record({
      put: fc.array(resource, { maxLength: 4 }),
      remove: fc.array(fc.nat(20), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const held = new Map<string, Resource>();
        const model = new MeshModel(OPTIONS);
        let before = makeSnapshot([], 0);
        for (const { put, remove } of steps) {
          for (const index of remove) held.delete([...held.keys()][index] ?? '');
          for (const each of put) held.set(keyOf(each), each);
          const after = makeSnapshot(held.values(), before.revision + 1);
          const change = compareSnapshots(before, after);
          before = after;
          if (change === undefined) continue;
          const gathered = new SnapshotChanges();
          gathered.add(change);
          atOnce(model.change(gathered.take()));
          changes += 1;
          sliced += [...model.workloads].filter(({ workload }) => {
            return workload.kind === 'EndpointSlice' && workload.serviceAccount !== '';
          }).length;
          assert.deepEqual(told(model), told(modelOf(after, OPTIONS)));
        }
      }),
      { numRuns: 100 },
    );
    assert.ok(changes > 200 && sliced > 50, `${changes} changes, ${sliced} endpoints that are somebody's`);
  });

  it('concerns no pods of a node where only something else of it changed', () => {
    const model = new MeshModel(OPTIONS);
    const all = [pod(), node('node-1', { 'topology.kubernetes.io/zone': 'z1' })];
    atOnce(model.change(all.map((after) => ({ ...after, before: undefined, after }))));
    const change = (zone: string, more: Record<string, string> = {}) => {
      const [before, after] = [
        node('node-1', { 'topology.kubernetes.io/zone': 'z1' }),
        node('node-1', { 'topology.kubernetes.io/zone': zone, ...more }),
      ];
      return atOnce(model.change([{ kind: 'Node', namespace: '', name: 'node-1', before, after }])).workloads.length;
    };
    assert.equal(change('z1', { 'kubernetes.io/os': 'linux' }), 0);
    assert.equal(change('z2'), 1);
  });
});
