import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { destinationRuleOf } from '../../../ca/distribution/destination-rules.ts';
import { LiveMesh } from '../../../ca/distribution/live-mesh.ts';
import type { MeshView } from '../../../ca/distribution/mesh-view.ts';
import { SnapshotChanges } from '../../../ca/distribution/snapshot-changes.ts';
import { atOnce } from '../../../src/policy/slices.ts';
import { makeSnapshot } from '../../../src/resources/resource-store.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { HandFedStore } from '../../fakes/hand-fed-store.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { anyEdit, NAMESPACES, resource, ROOT, WORKLOADS } from './changing-mesh.ts';
import { createHubOf, JoinedSidecar, TRUST_DOMAIN } from './mesh.ts';

const { address, authorizationPolicy, peerAuthentication, sidecar, destinationRule } = CONTROL_TYPES;

const liveMesh = (logger = new RecordingLogger()): LiveMesh =>
  new LiveMesh({ clusterId: 'c1', rootNamespace: ROOT, trustDomain: TRUST_DOMAIN, now: () => 0, logger });

/** All that can be asked of a view, and what is answered. */
function answersOf(view: MeshView): Map<string, unknown> {
  const answers = new Map<string, unknown>();
  for (const namespace of NAMESPACES) {
    const index = view.addresses.seenFrom(namespace);
    const names = [...index.names()].sort();
    answers.set(`${namespace} names`, names);
    for (const name of new Set(
      names.flatMap((each) => [each, ...index.find(each).flatMap(({ aliases }) => aliases)]),
    )) {
      const found = index.find(name).map((each) => `${each.name} ${each.version}`);
      answers.set(`${namespace} ${name}`, found.sort());
    }
  }
  for (const rule of view.snapshot.list('DestinationRule')) {
    const parsed = destinationRuleOf(rule);
    if (parsed !== undefined)
      answers.set(`${rule.namespace}/${rule.name}`, view.leadsSomewhere(parsed, rule.namespace));
  }
  return answers;
}

describe('the mesh that follows its resources', () => {
  it('is after any changes what it would be if it were made from nothing, and says of each change whom it reaches', () => {
    const logger = new RecordingLogger();
    fc.assert(
      fc.property(fc.array(anyEdit, { minLength: 1, maxLength: 8 }), (edits) => {
        const store = new HandFedStore();
        const changes = new SnapshotChanges();
        store.subscribe((change) => changes.add(change));
        const live = liveMesh(logger);
        live.show(atOnce(live.next([], store.snapshot)).view);
        let known = answersOf(live.view);
        for (const edit of edits) {
          store.edit(edit);
          const { view, change } = atOnce(live.next(changes.take(), store.snapshot));
          live.show(view);
          const fresh = liveMesh(logger);
          const answers = answersOf(view);
          assert.deepEqual(answers, answersOf(atOnce(fresh.next([], makeSnapshot(store.snapshot.all, 0))).view));
          // Whatever name means something else than before is among the names of what changed.
          const reached = new Set(change?.addresses.flatMap(({ names }) => names));
          for (const key of new Set([...known.keys(), ...answers.keys()])) {
            const [, name = ''] = key.split(' ');
            if (name === '' || name === 'names' || reached.has(name)) continue;
            assert.deepEqual(answers.get(key), known.get(key), key);
          }
          known = answers;
        }
      }),
      { numRuns: 300 },
    );
    assert.deepEqual(
      logger.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });

  it('never changes a view that was shown', () => {
    fc.assert(
      fc.property(fc.array(anyEdit, { minLength: 2, maxLength: 5 }), (edits) => {
        const store = new HandFedStore();
        const changes = new SnapshotChanges();
        store.subscribe((change) => changes.add(change));
        const live = liveMesh();
        const views = edits.map((edit) => {
          store.edit(edit);
          const { view } = atOnce(live.next(changes.take(), store.snapshot));
          live.show(view);
          return { view, answers: answersOf(view) };
        });
        for (const { view, answers } of views) assert.deepEqual(answersOf(view), answers);
      }),
      { numRuns: 50 },
    );
  });

  it('keeps what nothing was said about: the same object goes to everybody, encoded once', () => {
    const entry = (name: string, host: string) =>
      resource({ kind: 'WorkloadEntry', namespace: 'shop', name, spec: { address: host, serviceAccount: 'sa' } });
    const store = new HandFedStore([entry('w0', '10.0.0.1'), entry('w1', '10.0.0.2')]);
    const changes = new SnapshotChanges();
    store.subscribe((change) => changes.add(change));
    const live = liveMesh();
    live.show(atOnce(live.next([], store.snapshot)).view);
    const uid = 'c1/networking.istio.io/WorkloadEntry/shop/w0';
    const before = live.view.addresses.seenFrom('shop').find(uid);
    store.edit({ put: [entry('w1', '10.0.0.3')] });
    const { view, change } = atOnce(live.next(changes.take(), store.snapshot));
    assert.equal(view.addresses.seenFrom('web').find(uid)[0], before[0]);
    assert.deepEqual(
      change?.addresses.map(({ name }) => name),
      ['c1/networking.istio.io/WorkloadEntry/shop/w1'],
    );
  });

  it('is read again as a whole where a change fails half-way, and everybody is told (invariant 5)', () => {
    const logger = new RecordingLogger();
    const live = liveMesh(logger);
    const good = resource({ kind: 'WorkloadEntry', namespace: 'shop', name: 'w0', spec: { address: '10.0.0.1' } });
    const snapshot = makeSnapshot([good], 1);
    live.show(atOnce(live.next([], makeSnapshot([], 0))).view);
    const broken = { kind: 'WorkloadEntry', namespace: 'shop', name: 'w0', before: undefined };
    const after = new Proxy(good, {
      get: () => {
        throw new Error('cannot be read');
      },
    });
    const { view, change } = atOnce(live.next([{ ...broken, after }], snapshot));
    assert.equal(change, undefined);
    assert.equal([...view.addresses.seenFrom('shop').names()].length, 1);
    assert.equal(logger.lines.filter(({ level }) => level === 'error').length, 1);
  });
});

/** Subscriptions of one sidecar, by type. */
const ASKED: readonly (readonly [typeUrl: string, names: readonly string[]])[] = [
  [address, ['shop/db.internal', '*/api.internal', 'shop/s0.shop.svc.cluster.local', '/10.0.0.1', '/10.1.0.1']],
  [address, ['*']],
  [authorizationPolicy, ['*']],
  [peerAuthentication, ['*']],
  [sidecar, ['*']],
  [destinationRule, ['*']],
];

describe('the sidecars of a mesh that changes', () => {
  it('hold after any changes what they would if they came now, however turns and requests fall', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ edit: anyEdit, turns: fc.nat(30), asks: fc.nat(9) }), { minLength: 1, maxLength: 8 }),
        async (steps) => {
          // One workload of each namespace that comes and goes, and one that is always there.
          const fixed = NAMESPACES.map((namespace) =>
            resource({
              kind: 'WorkloadEntry',
              namespace,
              name: 'fixed',
              spec: { address: '10.0.0.7', serviceAccount: 'sa' },
            }),
          );
          const store = new HandFedStore(fixed);
          // Each piece of work takes a turn of its own.
          let time = 0;
          const clock = new FakeClock();
          const { distribution } = createHubOf(store, { clock, elapsed: () => (time += 10) });
          const sidecars = new Map<
            string,
            { joined: JoinedSidecar; typeUrl: string; names: Set<string>; workload: string }
          >();
          const join = (namespace: string, name: string): void => {
            for (const [index, [typeUrl, names]] of ASKED.entries()) {
              const workload = `${namespace}/${name}`;
              const key = `${workload} ${index}`;
              if (sidecars.has(key)) continue;
              try {
                const joined = new JoinedSidecar(distribution, typeUrl, { workload, account: `${namespace}/sa` });
                joined.subscribe(typeUrl, ...names);
                sidecars.set(key, { joined, typeUrl, names: new Set(names), workload });
              } catch {
                // It is not there now.
              }
            }
          };
          const settle = async (turns: number): Promise<void> => {
            for (let turn = 0; turn < turns; turn += 1) {
              await setImmediate();
              clock.advance(20);
              for (const [key, { joined }] of sidecars) {
                joined.settle();
                if (joined.ended === undefined) continue;
                joined.close();
                sidecars.delete(key);
              }
            }
          };
          for (const namespace of NAMESPACES) join(namespace, 'fixed');
          for (const { edit, turns, asks } of steps) {
            store.edit(edit);
            await settle(turns);
            for (const namespace of NAMESPACES) join(namespace, WORKLOADS[asks % 3] ?? '');
            // Somebody asks for more, or for less, in the middle of whatever is under way.
            for (const each of sidecars.values()) {
              if (each.typeUrl !== address || each.names.has('*')) continue;
              const name = ['web/db.internal', '/10.0.0.2', '*/s1.web'][asks % 3] ?? '';
              if (asks % 2 === 0) each.joined.subscribe(address, name);
              else each.joined.unsubscribe(address, name);
              if (asks % 2 === 0) each.names.add(name);
              else each.names.delete(name);
            }
          }
          // Until it is quiet: every piece of work of every step has had its turn.
          await settle(300);
          const { distribution: now } = createHubOf(new HandFedStore(store.snapshot.all));
          const heldBy = (joined: JoinedSidecar) =>
            joined.names.map((name) => `${name} ${joined.held.get(name)?.version}`);
          let compared = 0;
          for (const { joined, typeUrl, names, workload } of sidecars.values()) {
            const [namespace = ''] = workload.split('/');
            const fresh = new JoinedSidecar(now, typeUrl, { workload, account: `${namespace}/sa` });
            fresh.subscribe(typeUrl, ...names);
            assert.deepEqual(heldBy(joined), heldBy(fresh), `${workload} ${typeUrl}`);
            compared += 1;
          }
          assert.ok(compared >= NAMESPACES.length * ASKED.length);
          distribution.close();
          now.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are given the rule of another namespace as soon as that has a service which it is for, and as long', () => {
    const entry = resource({
      kind: 'WorkloadEntry',
      namespace: 'shop',
      name: 'w0',
      spec: { address: '10.0.0.1', serviceAccount: 'sa' },
    });
    const rule = resource({ kind: 'DestinationRule', namespace: 'web', name: 'r', spec: { host: 's0' } });
    const service = resource({ kind: 'Service', namespace: 'web', name: 's0', spec: { ports: [{ port: 80 }] } });
    const store = new HandFedStore([entry, rule]);
    const { distribution } = createHubOf(store);
    const own = new JoinedSidecar(distribution, destinationRule, { workload: 'shop/w0', account: 'shop/sa' });
    own.subscribe(destinationRule, '*');
    assert.deepEqual(own.names, []);
    store.edit({ put: [service] });
    assert.deepEqual(own.settle().names, ['web/r']);
    store.edit({ remove: [service] });
    assert.deepEqual(own.settle().names, []);
  });

  it('are pushed a rolling restart in few pieces, the first at once, and who comes meanwhile sees all that is known', async () => {
    const entry = (name: string, address: string) =>
      resource({
        kind: 'WorkloadEntry',
        namespace: 'shop',
        name,
        spec: { address, serviceAccount: 'sa', labels: { app: 'a' } },
      });
    const service = resource({
      kind: 'Service',
      namespace: 'shop',
      name: 's0',
      spec: { selector: { app: 'a' }, ports: [{ port: 80 }] },
    });
    const store = new HandFedStore([service, entry('w0', '10.0.0.1')]);
    const clock = new FakeClock();
    const { distribution } = createHubOf(store, { clock, rest: 100 });
    const own = new JoinedSidecar(distribution, address, { workload: 'shop/w0', account: 'shop/sa' });
    own.subscribe(address, 'shop/s0.shop.svc.cluster.local');
    const before = own.pushes;
    for (let pod = 1; pod <= 50; pod += 1) {
      store.edit({ put: [entry(`p${pod}`, `10.0.1.${pod}`)] });
      own.settle();
      clock.advance(4);
    }
    assert.equal(own.settle().pushes - before, 3, 'at 0, 100 and 200 ms');
    store.edit({ put: [entry('p51', '10.0.1.51')] });
    assert.throws(() => new JoinedSidecar(distribution, address, { workload: 'shop/p51', account: 'shop/sa' }), {
      code: 'subscriber_refused',
    });
    const caughtUp = distribution.caughtUp();
    clock.advance(100);
    await caughtUp;
    const late = new JoinedSidecar(distribution, address, { workload: 'shop/p51', account: 'shop/sa' });
    assert.equal(late.ended, undefined);
    assert.equal(own.settle().names.length, 53);
    distribution.close();
    await distribution.caughtUp();
  });
});
