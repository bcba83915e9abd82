import { strict as assert } from 'node:assert';
import { admit } from '../../../ca/distribution/admit-subscriber.ts';
import type { AdmittedWorkload, SubscriberName } from '../../../ca/distribution/subscriber.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { makeSnapshot } from '../../../src/resources/resource-store.ts';
import type { Resource } from '../../../src/resources/resource.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { networking } from '../../resources/yaml-resource.ts';
import { pod } from '../../resources/cluster-resource.ts';
import { createHubWith, JoinedSidecar, readDocuments, TRUST_DOMAIN } from './mesh.ts';

const [entry] = readDocuments(
  networking('WorkloadEntry', '{address: 10.0.0.9, serviceAccount: catalog, labels: {app: vm}}').replace(
    'name: x',
    'name: catalog-0',
  ),
);
const early = { code: 'subscriber_early' };
const refused = { code: 'subscriber_refused' };

interface Who {
  readonly account?: string;
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly name?: string;
  readonly kind?: SubscriberName['kind'];
  readonly before?: AdmittedWorkload;
}

/** Whoever calls, for the pod `shop/catalog-0` unless it says otherwise. */
const admitted = (resources: readonly Resource[], who: Who = {}): AdmittedWorkload => {
  const { account = 'shop/catalog', name = 'catalog-0', kind, before } = who;
  const [namespace = '', serviceAccount = ''] = account.split('/');
  const identity = SpiffeId.ofWorkload(TRUST_DOMAIN, { namespace, serviceAccount });
  const snapshot = makeSnapshot(resources, 1);
  return admit(
    { namespace: 'shop', name, kind },
    { snapshot, proven: { identity, pod: who.pod }, discoversPods: true, before },
  );
};
const bound = { pod: { name: 'catalog-0', uid: 'uid-catalog-0' } };

describe('the admission of a pod', () => {
  it('takes the pod that the token is bound to, with the labels that the store has of it', () => {
    const { kind, uid, labels } = admitted([pod()], bound);
    assert.deepEqual([kind, uid, labels], ['Pod', 'uid-catalog-0', { app: 'catalog' }]);
  });

  it('takes the pod that is named where the credential names none, if its service account is the caller’s', () => {
    assert.equal(admitted([pod()]).kind, 'Pod');
    assert.throws(() => admitted([pod()], { account: 'shop/prices', kind: 'Pod' }), refused);
    assert.throws(() => admitted([pod()], { account: 'other/catalog', kind: 'Pod' }), refused);
    assert.throws(() => admitted([pod()], { account: 'shop/prices' }), refused);
  });

  it('lets no pod subscribe as another one of its service account (invariant 5)', () => {
    const both = [pod(), pod({ name: 'catalog-1' })];
    assert.throws(() => admitted(both, { ...bound, name: 'catalog-1' }), refused);
    assert.throws(() => admitted([...both, entry!], { ...bound, kind: 'WorkloadEntry' }), refused);
    const away = { name: 'catalog-0', uid: 'uid-catalog-0' };
    assert.throws(() => admitted([pod()], { pod: away, account: 'other/catalog' }), refused);
  });

  it('tells a pod that is not known yet to come again, and refuses nothing for ever', () => {
    assert.throws(() => admitted([], bound), early);
    assert.throws(() => admitted([]), early);
    assert.throws(() => admitted([], { kind: 'Pod' }), early);
    assert.throws(() => admitted([pod({ ips: [] })], bound), early);
    // The pod before it, of a StatefulSet: the store has not heard of the new one.
    assert.throws(() => admitted([pod({ uid: 'before' })], bound), early);
  });

  it('takes no pod that has ended', () => {
    assert.throws(() => admitted([pod({ status: { phase: 'Succeeded' } })], bound), refused);
  });

  it('takes one that is not ready, or about to go: it waits for its sidecar, or still serves', () => {
    assert.equal(admitted([pod({ ready: false })], bound).kind, 'Pod');
    const going = pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
    assert.equal(admitted([going], bound).kind, 'Pod');
  });

  it('tells a pod from a WorkloadEntry of the same name', () => {
    assert.equal(admitted([pod(), entry!]).kind, 'Pod');
    assert.deepEqual(admitted([pod(), entry!], { kind: 'WorkloadEntry' }).labels, { app: 'vm' });
    assert.equal(admitted([entry!]).kind, 'WorkloadEntry');
    assert.throws(() => admitted([entry!], { kind: 'Pod' }), early);
    // What the embedded issuer calls a pod is a WorkloadEntry, until there is a pod of that name.
    const before = admitted([entry!], bound);
    assert.equal(before.kind, 'WorkloadEntry');
    assert.throws(() => admitted([entry!, pod()], { ...bound, before }), refused);
    assert.throws(() => admitted([entry!], { ...bound, kind: 'Pod' }), early);
    // A pod of another account is nobody's namesake.
    assert.equal(admitted([pod({ spec: { serviceAccountName: 'x' } }), entry!]).kind, 'WorkloadEntry');
  });

  it('ends when the pod is gone or another has taken its name, whatever the credential was (invariant 5)', () => {
    const before = admitted([pod()]);
    assert.throws(() => admitted([], { before }), refused);
    assert.throws(() => admitted([pod({ uid: 'next' })], { before }), refused);
    assert.throws(() => admitted([entry!], { before }), refused);
    assert.equal(admitted([pod({ labels: { app: 'b' } })], { before }).labels['app'], 'b');
  });
});

describe('the control stream of a pod', () => {
  const { address } = CONTROL_TYPES;
  const who = { workload: 'shop/catalog-0', account: 'shop/catalog', ...bound };

  it('has its own workload, and ends when a pod of its name takes its place', () => {
    const { distribution, store } = createHubWith({ discoversPods: true });
    assert.throws(() => new JoinedSidecar(distribution, address, who), early);
    store.setResources([pod({ ready: false })]);
    const uid = 'Kubernetes//Pod/shop/catalog-0';
    const own = new JoinedSidecar(distribution, address, who).subscribe(address, uid);
    assert.deepEqual(own.names, [uid]);
    store.setResources([pod()]);
    assert.equal(own.settle().pushes, 2, 'it became ready');
    store.setResources([pod({ uid: 'next' })]);
    assert.equal((own.ended as { code?: string } | undefined)?.code, 'subscriber_refused');
    assert.deepEqual(own.settle().names, [uid], 'nothing is taken from it first');
    assert.throws(() => new JoinedSidecar(distribution, address, who), early);
    const next = { ...who, pod: { name: 'catalog-0', uid: 'next' } };
    assert.deepEqual(new JoinedSidecar(distribution, address, next).subscribe(address, uid).names, [uid]);
  });

  it('makes the CA warn once of a pod that does not say that it has a sidecar', () => {
    const { distribution, store, logger } = createHubWith({ discoversPods: true });
    const warnings = (): unknown[] =>
      logger.lines.filter(({ level }) => level === 'warn').map(({ message, fields }) => [message, fields]);
    const pods = (...labels: Readonly<Record<string, string>>[]): void =>
      store.setResources(
        labels.map((each, index) => pod({ name: `catalog-${index}`, uid: `uid-catalog-${index}`, labels: each })),
      );
    const joined = (name = 'catalog-0'): JoinedSidecar =>
      new JoinedSidecar(distribution, address, { ...who, workload: `shop/${name}`, pod: { name, uid: `uid-${name}` } });
    pods({ 'security.istio.io/tlsMode': 'istio' }, {}, { 'security.istio.io/tlsMode': 'disabled' });
    const [labelled] = [joined(), joined('catalog-1'), joined('catalog-1')];
    const message = 'a pod has a sidecar and does not say so: other sidecars call it in plaintext, or not at all';
    const about = (name: string): unknown => [
      message,
      {
        pod: `shop/${name}`,
        label: 'security.istio.io/tlsMode: istio',
        remedy: 'set the label in the template of the pod, as injectors do',
      },
    ];
    assert.deepEqual(warnings(), [about('catalog-1')]);
    joined('catalog-2');
    pods({}, {}, {});
    assert.deepEqual(warnings(), ['catalog-1', 'catalog-2', 'catalog-0'].map(about), 'the label was taken away');
    assert.equal(labelled?.ended, undefined);
    pods({ 'security.istio.io/tlsMode': 'istio' }, {}, {});
    pods({}, {}, {});
    assert.equal(warnings().length, 4, 'and again');
  });

  it('makes the CA warn of no WorkloadEntry, whose service account says the same', () => {
    const { distribution, store, logger } = createHubWith({ discoversPods: true });
    store.setResources([entry!]);
    new JoinedSidecar(distribution, address, { workload: 'shop/catalog-0', account: 'shop/catalog' }).close();
    assert.ok(!logger.text.includes('tlsMode'), logger.text);
  });

  it('is open beside that of a WorkloadEntry of the same name', () => {
    const { distribution, store } = createHubWith({ discoversPods: true });
    store.setResources([pod(), entry!]);
    const open = (['Pod', 'WorkloadEntry'] as const).flatMap((kind) =>
      Array.from({ length: 16 }, () => {
        return new JoinedSidecar(distribution, address, {
          workload: 'shop/catalog-0',
          account: 'shop/catalog',
          kind,
        });
      }),
    );
    assert.equal(open.length, 32);
    assert.equal(distribution.streams, 32);
  });

  it('knows nothing of pods where there is no cluster, whatever a token is bound to', () => {
    const { distribution, store } = createHubWith({});
    store.setResources([entry!]);
    const own = { workload: 'shop/catalog-0', account: 'shop/catalog', pod: { name: 'catalog', uid: 'x' } };
    assert.equal(new JoinedSidecar(distribution, address, own).ended, undefined);
    assert.throws(() => new JoinedSidecar(distribution, address, { ...own, kind: 'Pod' }), refused);
  });
});
