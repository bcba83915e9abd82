import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { createPodIndex, type PodIndex } from '../../../ca/authenticators/pod-index.ts';
import { RESOURCE_KINDS } from '../../../src/resources/kind.ts';
import { reducePod } from '../../../src/resources/pod.ts';
import { makeResource, type Resource } from '../../../src/resources/resource.ts';
import {
  compareSnapshots,
  makeSnapshot,
  type ResourceListener,
  type ResourceStore,
} from '../../../src/resources/resource-store.ts';

interface Order {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly node: string;
  readonly phase: string;
  readonly terminating: boolean;
}

/** As a cluster's store has it, made of what the API server would send. */
function podOf({ namespace, name, uid, serviceAccount, node, phase, terminating }: Order): Resource {
  const kind = RESOURCE_KINDS.find((one) => one.kind === 'Pod');
  assert.ok(kind);
  const spec = reducePod({
    metadata: { name, namespace, uid, ...(terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
    spec: { serviceAccountName: serviceAccount, ...(node === '' ? {} : { nodeName: node }) },
    status: { phase },
  });
  const origin = { file: undefined, locate: () => undefined };
  return makeResource({ kind, namespace, name, labels: {}, annotations: {}, creationTimestamp: 0, uid, spec, origin });
}

/** A store whose pods a test replaces all at once. */
class PodStore implements Pick<ResourceStore, 'snapshot' | 'subscribe'> {
  snapshot = makeSnapshot([], 0);
  readonly #listeners = new Set<ResourceListener>();

  subscribe(listener: ResourceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(orders: readonly Order[]): void {
    const before = this.snapshot;
    this.snapshot = makeSnapshot(orders.map(podOf), before.revision + 1);
    const change = compareSnapshots(before, this.snapshot);
    if (change !== undefined) for (const listener of this.#listeners) listener(change);
  }
}

const order: fc.Arbitrary<Order> = fc.record({
  namespace: fc.constantFrom('a', 'b'),
  name: fc.constantFrom('x', 'y', 'z'),
  uid: fc.constantFrom('1', '2'),
  serviceAccount: fc.constantFrom('web', 'api'),
  node: fc.constantFrom('', 'node-1', 'node-2'),
  phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed'),
  terminating: fc.boolean(),
});
const pods = fc.uniqueArray(order, { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 6 });

describe('the pods by which node agents are judged', () => {
  const agrees = (index: PodIndex, held: readonly Order[]): void => {
    for (const namespace of ['a', 'b', 'c'])
      for (const node of ['node-1', 'node-2', ''])
        for (const serviceAccount of ['web', 'api']) {
          const expected = held.some(
            (pod) =>
              pod.namespace === namespace &&
              pod.node === node &&
              node !== '' &&
              pod.serviceAccount === serviceAccount &&
              !pod.terminating &&
              ['Pending', 'Running'].includes(pod.phase),
          );
          assert.equal(index.hasRunningPod({ namespace, node, serviceAccount }), expected);
        }
    for (const namespace of ['a', 'b'])
      for (const name of ['x', 'y', 'z']) {
        const pod = held.find((one) => one.namespace === namespace && one.name === name);
        const found = index.pod(namespace, name);
        assert.deepEqual([found?.uid, found?.node, found?.serviceAccount], [pod?.uid, pod?.node, pod?.serviceAccount]);
        assert.equal(found?.ended, pod && ['Succeeded', 'Failed'].includes(pod.phase));
      }
  };

  it('are those of the store, after any changes', () => {
    fc.assert(
      fc.property(fc.array(pods, { minLength: 1, maxLength: 6 }), fc.nat({ max: 3 }), (steps, before) => {
        const store = new PodStore();
        for (const step of steps.slice(0, before)) store.set(step);
        const index = createPodIndex(store, () => true);
        agrees(index, steps.slice(0, before).at(-1) ?? []);
        for (const step of steps.slice(before)) {
          store.set(step);
          agrees(index, step);
        }
        index.close();
      }),
    );
  });

  it('are known to be all only once the store says so, and are followed until the end', () => {
    const store = new PodStore();
    let synced = false;
    const index = createPodIndex(store, () => synced);
    assert.equal(index.synced, false);
    synced = true;
    assert.equal(index.synced, true);
    index.close();
    const [one] = fc.sample(order, 1);
    assert.ok(one);
    store.set([{ ...one, node: 'node-1', phase: 'Running', terminating: false }]);
    assert.equal(index.pod(one.namespace, one.name), undefined);
  });
});
