import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import { SealwrightError } from '../../../src/core/errors.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { networking, policy } from '../../resources/yaml-resource.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { HandFedStore } from '../../fakes/hand-fed-store.ts';
import { createHub, createHubOf, JoinedSidecar, MemoryStore, readDocuments } from './mesh.ts';

const { address, authorizationPolicy, sidecar, configMap, secret } = CONTROL_TYPES;

const named = (text: string, name: string, namespace = 'shop'): string =>
  text.replace('{name: x, namespace: shop}', `{name: ${name}, namespace: ${namespace}}`);
const entry = (name: string, more = '', namespace = 'shop'): string =>
  named(
    networking('WorkloadEntry', `{address: 10.0.0.1, serviceAccount: ${name}, labels: {app: ${name}}${more}}`),
    name,
    namespace,
  );
const uid = (name: string, namespace = 'shop'): string =>
  `Kubernetes/networking.istio.io/WorkloadEntry/${namespace}/${name}`;
const codeOf = (error: unknown): string | undefined => (error instanceof SealwrightError ? error.code : undefined);

describe('the distribution of the mesh', () => {
  it('tells many sidecars of a change each, and of nothing that did not change for them', () => {
    const names = Array.from({ length: 50 }, (_, index) => `w${index}`);
    const entries = names.map((name) => entry(name));
    const { distribution, store } = createHub(...entries, policy('all', '/a'));
    const sidecars = names.map((name) =>
      new JoinedSidecar(distribution, authorizationPolicy, { workload: `shop/${name}` }).subscribe(
        authorizationPolicy,
        '*',
      ),
    );
    assert.equal(distribution.streams, 50);
    const selective = policy('one', '/b').replace('spec:', 'spec:\n  selector: { matchLabels: { app: w7 } }');
    store.set(...entries, policy('all', '/a'), selective);
    for (const each of sidecars) each.settle();
    for (const [index, each] of sidecars.entries()) {
      assert.deepEqual(each.names, index === 7 ? ['shop/all', 'shop/one'] : ['shop/all']);
      assert.equal(each.pushes, index === 7 ? 2 : 1);
    }
    store.set(...entries);
    for (const each of sidecars) assert.deepEqual(each.settle().names, []);
    for (const each of sidecars) each.close();
    assert.equal(distribution.streams, 0);
  });

  it('leaves nobody with an old address who asks for it while others are told that it changed', async () => {
    const names = ['w0', 'w1', 'w2', 'w3', 'w4', 'w5'];
    const database = (host: string): string => entry('db').replace('10.0.0.1', host);
    const store = new MemoryStore();
    const entries = names.map((name) => entry(name));
    store.set(...entries, database('10.0.0.9'));
    let time = 0;
    // Each piece of work takes a turn of its own.
    const { distribution } = createHubOf(store, { elapsed: () => (time += 10) });
    const joined = names.map((name) =>
      new JoinedSidecar(distribution, authorizationPolicy, { workload: `shop/${name}` }).subscribe(
        authorizationPolicy,
        '*',
      ),
    );
    const last = new JoinedSidecar(distribution, address, { workload: 'shop/w5' });
    store.set(...entries, policy('all', '/a'), database('10.0.0.77'));
    for (let turn = 0; turn < 500 && joined[0]?.settle().names.length === 0; turn += 1) await setImmediate();
    assert.deepEqual(joined[0]?.names, ['shop/all']);
    last.subscribe(address, uid('db'));
    const early = last.held.get(uid('db'))?.version;
    for (let turn = 0; turn < 500; turn += 1) {
      await setImmediate();
      last.settle();
    }
    const fresh = new JoinedSidecar(distribution, address, { workload: 'shop/w0' }).subscribe(address, uid('db'));
    const now = fresh.held.get(uid('db'))?.version;
    assert.notEqual(early, now, 'it asked while it still saw the mesh before');
    assert.equal(last.held.get(uid('db'))?.version, now);
    distribution.close();
  });

  it('takes in by itself what could not be taken in, as soon as it can', () => {
    const [own, other] = readDocuments(entry('catalog'), entry('db'));
    assert.ok(own !== undefined && other !== undefined);
    let broken = true;
    const fragile = new Proxy(other, {
      get: (target, key) => {
        if (broken && key === 'spec') throw new Error('cannot be read');
        return Reflect.get(target, key) as unknown;
      },
    });
    const store = new HandFedStore([own]);
    const clock = new FakeClock();
    const { distribution, logger } = createHubOf(store, { clock });
    const joined = new JoinedSidecar(distribution, address).subscribe(address, uid('db'));
    store.edit({ put: [fragile] });
    assert.deepEqual(joined.settle().names, []);
    assert.ok(logger.text.includes('the mesh is handed out as it was before'));
    broken = false;
    clock.advance(1_000);
    assert.deepEqual(joined.settle().names, [uid('db')]);
    distribution.close();
  });

  it('sends nothing again to a sidecar that comes back with what it holds', () => {
    const { distribution, store } = createHub(entry('catalog'), policy('all', '/a'));
    const first = new JoinedSidecar(distribution, authorizationPolicy).subscribe(authorizationPolicy, '*');
    const before = first.held.get('shop/all')?.version;
    // The same content in another order, by another CA process.
    store.set(policy('all', '/a'), entry('catalog'));
    const again = createHub(policy('all', '/a'), entry('catalog'));
    const second = new JoinedSidecar(again.distribution, authorizationPolicy).subscribe(authorizationPolicy, '*');
    assert.equal(second.held.get('shop/all')?.version, before);
    assert.equal(first.settle().pushes, 1);
  });

  it('ends the stream of a workload that is gone, and takes nothing away from it first (invariant 5)', () => {
    const { distribution, store } = createHub(entry('catalog'), policy('all', '/a'));
    const own = new JoinedSidecar(distribution, authorizationPolicy).subscribe(authorizationPolicy, '*');
    store.set(policy('other', '/a'));
    assert.equal(codeOf(own.ended), 'subscriber_refused');
    assert.deepEqual(own.settle().names, ['shop/all']);
    own.close();
    assert.throws(() => new JoinedSidecar(distribution, authorizationPolicy), { code: 'subscriber_refused' });
  });

  it('lets an identity subscribe for workloads of its own service account only', () => {
    const { distribution } = createHub(
      entry('catalog'),
      entry('catalog', '', 'other'),
      named(networking('WorkloadEntry', '{address: 10.0.0.2}'), 'none'),
    );
    new JoinedSidecar(distribution, address).subscribe(address, uid('catalog'));
    for (const [workload, account] of [
      ['shop/catalog', 'shop/prices'],
      ['shop/catalog', 'other/catalog'],
      ['other/catalog', 'shop/catalog'],
      ['shop/none', 'shop/default'],
      ['shop/ghost', 'shop/ghost'],
    ] as const) {
      assert.throws(() => new JoinedSidecar(distribution, address, { workload, account }), {
        code: 'subscriber_refused',
      });
    }
  });

  it('bounds how many streams one workload has, and forgets those that ended', () => {
    const { distribution } = createHub(entry('catalog'));
    const open = Array.from({ length: 16 }, () => new JoinedSidecar(distribution, address));
    assert.throws(() => new JoinedSidecar(distribution, address), { code: 'subscriber_too_many' });
    open[0]?.close();
    open.push(new JoinedSidecar(distribution, address));
    assert.equal(distribution.streams, 16);
  });

  it('pushes a new trust bundle', () => {
    const { distribution } = createHub(entry('catalog'));
    const own = new JoinedSidecar(distribution, secret).subscribe(secret, 'ROOTCA');
    const before = own.held.get('ROOTCA')?.version;
    distribution.setBundle({ roots: [Buffer.from('root'), Buffer.from('next')] } as never);
    own.settle();
    assert.notEqual(own.held.get('ROOTCA')?.version, before);
  });

  it('shows a service that is exported to one namespace to nobody else, nor the way to it by its name', () => {
    const service = (exportTo: string): string =>
      networking(
        'ServiceEntry',
        `{hosts: [db.internal], ports: [{name: tcp, number: 5432, protocol: TCP}], resolution: STATIC, workloadSelector: {labels: {app: db}}, exportTo: [${exportTo}]}`,
      );
    const { distribution, store } = createHub(
      entry('db'),
      entry('catalog'),
      entry('away', '', 'other'),
      service('"."'),
    );
    const near = new JoinedSidecar(distribution, address).subscribe(address, 'shop/db.internal');
    const far = new JoinedSidecar(distribution, address, { workload: 'other/away' });
    far.subscribe(address, 'shop/db.internal', '*/db.internal');
    assert.deepEqual(near.names, [uid('db'), 'shop/db.internal']);
    assert.deepEqual(far.names, []);
    store.set(entry('db'), entry('catalog'), entry('away', '', 'other'), service('"*"'));
    assert.deepEqual(far.settle().names, [uid('db'), 'shop/db.internal']);
    store.set(entry('db'), entry('catalog'), entry('away', '', 'other'), service('other'));
    assert.deepEqual(far.settle().names, [uid('db'), 'shop/db.internal']);
    assert.deepEqual(near.settle().names, []);
  });

  it('gives each workload the one Sidecar that is for it', () => {
    const own = named(
      networking('Sidecar', '{workloadSelector: {labels: {app: catalog}}, egress: [{hosts: ["./*"]}]}'),
      'own',
    );
    const wide = named(networking('Sidecar', '{egress: [{hosts: ["./*"]}]}'), 'wide');
    const mesh = named(networking('Sidecar', '{egress: [{hosts: ["*/*"]}]}'), 'mesh', 'sealwright-system');
    const entries = [entry('catalog'), entry('prices'), entry('away', '', 'other')];
    const { distribution, store } = createHub(...entries, own, wide, mesh);
    const of = (workload: string) => new JoinedSidecar(distribution, sidecar, { workload }).subscribe(sidecar, '*');
    const [catalog, prices, away] = [of('shop/catalog'), of('shop/prices'), of('other/away')];
    assert.deepEqual(
      [catalog.names, prices.names, away.names],
      [['shop/own'], ['shop/wide'], ['sealwright-system/mesh']],
    );
    store.set(...entries, wide);
    assert.deepEqual(
      [catalog.settle().names, prices.settle().names, away.settle().names],
      [['shop/wide'], ['shop/wide'], []],
    );
  });

  it('gives everybody the mesh settings of the root namespace, and no other ConfigMap', () => {
    const map = (name: string, namespace: string): string =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: ${namespace}}\ndata: {mesh: ""}\n`;
    const { distribution } = createHub(
      entry('catalog'),
      map('sealwright', 'sealwright-system'),
      map('sealwright', 'shop'),
      map('secrets', 'sealwright-system'),
    );
    const own = new JoinedSidecar(distribution, configMap).subscribe(configMap, '*', 'shop/sealwright');
    assert.deepEqual(own.names, ['sealwright-system/sealwright']);
  });

  it('serves no type that it does not know', () => {
    const { distribution } = createHub(entry('catalog'));
    for (const typeUrl of ['constructor', '__proto__', 'type.googleapis.com/envoy.config.cluster.v3.Cluster']) {
      const own = new JoinedSidecar(distribution, typeUrl).subscribe(typeUrl, '*');
      assert.deepEqual([own.names, own.pushes], [[], 1]);
    }
  });

  it('counts its sidecars and what they answered', async () => {
    const { distribution, metrics } = createHub(entry('catalog'), policy('all', '/a'));
    new JoinedSidecar(distribution, authorizationPolicy).subscribe(authorizationPolicy, '*');
    const { body } = await metrics.render();
    assert.match(body, /^pilot_xds 1$/m);
    assert.match(body, /^pilot_xds_pushes\{type="AuthorizationPolicy"\} 1$/m);
  });
});
