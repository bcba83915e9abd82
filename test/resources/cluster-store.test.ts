import { strict as assert } from 'node:assert';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { apiResourceOf } from '../../src/resources/cluster-queries.ts';
import { ClusterStore } from '../../src/resources/cluster-store.ts';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { ResourceChange } from '../../src/resources/resource-store.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import { eventually } from '../fakes/eventually.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { FakeKubernetesServer } from '../fakes/kubernetes-server.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { path } from './store-contract.ts';

const ROOT = 'sealwright-system';

const resourceOf = (kind: string): ApiResource => {
  const row = RESOURCE_KINDS.find((each) => each.kind === kind);
  if (row === undefined) throw new Error(kind);
  return apiResourceOf(row);
};

describe('the resources of a cluster', () => {
  let server: FakeKubernetesServer;
  let client: KubernetesClient;
  let logger: RecordingLogger;
  const opened: ClusterStore[] = [];

  beforeEach(async function () {
    server = await FakeKubernetesServer.start(...RESOURCE_KINDS.map(apiResourceOf));
    client = await createKubernetesClient({ config: server.writeAccess(temporaryFolder(this)), clock: realClock });
    logger = new RecordingLogger();
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) store.close();
    client.close();
    await server.close();
  });

  const start = (): ClusterStore => {
    const store = new ClusterStore({
      client,
      rootNamespace: ROOT,
      clock: realClock,
      random: Math.random,
      logger,
      validators: policyValidators({ rootNamespace: ROOT, strayRoot: 'warning' }),
      limits: { backoff: [4, 20], goodWatch: 30 },
    });
    opened.push(store);
    return store;
  };
  const put = (kind: string, name: string, spec: unknown, more: object = {}): void => {
    const metadata = { namespace: 'shop', name, ...more };
    server.put(resourceOf(kind), kind === 'ConfigMap' ? { metadata, data: spec } : { metadata, spec });
  };
  const find = (store: ClusterStore, kind: string, name: string): Resource | undefined =>
    store.snapshot.get({ kind, namespace: 'shop', name });

  it('asks for no more ConfigMaps than its own', async () => {
    put('ConfigMap', 'sealwright', { mesh: 'trustDomainAliases: [old.local]' }, { namespace: ROOT });
    put('ConfigMap', 'other', { mesh: 'no' }, { namespace: ROOT });
    const store = start();
    await store.synced;
    assert.deepEqual(
      store.snapshot.list('ConfigMap').map(({ name }) => name),
      ['sealwright'],
    );
    const asked = server.requests.filter((request) => request.path.includes('configmaps'));
    assert.ok(asked.length > 0);
    for (const request of asked) {
      assert.equal(request.path, `/api/v1/namespaces/${ROOT}/configmaps`);
      assert.equal(request.query.get('fieldSelector'), 'metadata.name=sealwright');
    }
  });

  it('shows nothing until everything was read, and names what is missing', async () => {
    put('AuthorizationPolicy', 'a', path('a', '/a').spec);
    server.fault = (request) =>
      request.path.includes('sidecars') ? { status: 403, body: '{"message":"sidecars is forbidden"}' } : undefined;
    const changes: ResourceChange[] = [];
    const store = start();
    store.subscribe((change) => changes.push(change));
    await eventually(() => store.followed.filter(({ isSynced }) => !isSynced).length === 1);
    await eventually(() => /verb: "list"/.test(store.waitingFor ?? ''));
    assert.match(store.waitingFor ?? '', /list.*sidecars\.networking\.istio\.io/);
    assert.deepEqual([store.snapshot.all, store.isSynced, changes.length], [[], false, 0]);
    put('AuthorizationPolicy', 'b', path('b', '/b').spec);
    server.fault = () => undefined;
    await store.synced;
    assert.equal(store.waitingFor, undefined);
    await eventually(() => find(store, 'AuthorizationPolicy', 'b') !== undefined);
    assert.ok(find(store, 'AuthorizationPolicy', 'a') !== undefined);
  });

  it('waits for a definition that is missing, and loses nothing where one is taken away (invariant 5)', async () => {
    const policies = resourceOf('AuthorizationPolicy');
    server.objects.undefine(policies);
    const store = start();
    await eventually(() => /authorizationpolicies/.test(store.waitingFor ?? ''));
    assert.equal(store.isSynced, false);
    server.objects.define(policies);
    put('AuthorizationPolicy', 'a', path('a', '/a').spec);
    await store.synced;
    await eventually(() => find(store, 'AuthorizationPolicy', 'a') !== undefined);
    server.fault = (request) =>
      request.path.includes('authorizationpolicies') ? { status: 404, body: '404 page not found' } : undefined;
    server.objects.compact();
    server.dropConnections();
    await eventually(() =>
      store.followed.some(({ failures }) => failures.some(({ code }) => code === 'kubernetes_not_found')),
    );
    assert.ok(find(store, 'AuthorizationPolicy', 'a') !== undefined);
    assert.equal(store.isSynced, true);
  });

  it('knows of each object its version, what is wrong with it, and what is in force, and is quiet about a status', async () => {
    const [good, bad] = [path('a', '/a').spec, { rules: [{ to: [{}] }] }];
    put('AuthorizationPolicy', 'good', good, { generation: 2 });
    put('AuthorizationPolicy', 'bad', bad, { generation: 1 });
    put('Service', 'quiet', { ports: [{ port: 80 }] });
    const store = start();
    await store.synced;
    const judged = (): unknown[] =>
      [...store.judged()].map(({ name, generation, source, issues }) => [name, generation, source, issues.length]);
    assert.deepEqual(judged(), [
      ['bad', 1, 'stand-in', 1],
      ['good', 2, 'object', 0],
    ]);
    let told = 0;
    store.subscribeToJudged(() => (told += 1));
    const before = find(store, 'AuthorizationPolicy', 'good');
    const status = { conditions: [{ type: 'Accepted', status: 'True' }] };
    const metadata = { namespace: 'shop', name: 'good', generation: 2 };
    server.put(resourceOf('AuthorizationPolicy'), { metadata, spec: good, status });
    put('AuthorizationPolicy', 'bad', good, { generation: 2 });
    await eventually(() => store.issues.length === 0);
    assert.equal(told, 1);
    assert.equal(find(store, 'AuthorizationPolicy', 'good'), before, 'the very same, and so judged once');
    // The same text in another version of it: nothing is in force that was not, and yet it has to be said.
    put('AuthorizationPolicy', 'good', good, { generation: 3 });
    await eventually(() => told === 2);
    assert.deepEqual(judged()[1], ['good', 3, 'object', 0]);
  });

  it('tells what a rollout brings in few changes', async () => {
    const store = start();
    await store.synced;
    await eventually(() => server.openWatches === RESOURCE_KINDS.length);
    let changes = 0;
    let added = 0;
    store.subscribe((change) => {
      changes += 1;
      added += change.added.length;
    });
    for (let i = 0; i < 100; i += 1) put('AuthorizationPolicy', `p${i}`, path('p', `/${i}`).spec);
    await eventually(() => added === 100);
    assert.ok(changes <= 10, `${changes} changes`);
  });

  it('keeps what an API server adds for itself out of what is told', async () => {
    const applied = { 'kubectl.kubernetes.io/last-applied-configuration': 'x'.repeat(1_000), note: 'kept' };
    put('AuthorizationPolicy', 'a', path('a', '/a').spec, {
      annotations: applied,
      managedFields: [{ manager: 'm' }],
      generation: 1,
    });
    const store = start();
    await store.synced;
    let changes = 0;
    store.subscribe(() => (changes += 1));
    assert.deepEqual(find(store, 'AuthorizationPolicy', 'a')?.annotations, { note: 'kept' });
    server.put(resourceOf('AuthorizationPolicy'), {
      metadata: { namespace: 'shop', name: 'a', annotations: { note: 'kept' }, generation: 2 },
      spec: path('a', '/a').spec,
      status: { conditions: [] },
    });
    put('AuthorizationPolicy', 'b', path('b', '/b').spec);
    await eventually(() => find(store, 'AuthorizationPolicy', 'b') !== undefined);
    assert.equal(changes, 1);
    assert.deepEqual(store.issues, []);
  });

  it('hears of the status of pods, which no generation counts', async () => {
    const pod = (podIP: string): void => {
      server.put(resourceOf('Pod'), {
        metadata: { namespace: 'shop', name: 'p', generation: 1 },
        spec: { serviceAccountName: 'p', nodeName: 'node-1' },
        status: { phase: 'Running', podIP },
      });
    };
    pod('10.0.0.1');
    const store = start();
    await store.synced;
    assert.deepEqual(find(store, 'Pod', 'p')?.spec['addresses'], ['10.0.0.1']);
    pod('10.0.0.2');
    await eventually(() => JSON.stringify(find(store, 'Pod', 'p')?.spec['addresses']) === '["10.0.0.2"]');
  });

  describe('that cannot be read', () => {
    const selector = { matchLabels: { app: 'web' } };
    const specOf = async (kind: string, spec: unknown, more: object = {}): Promise<Resource | undefined> => {
      put(kind, 'bad', spec, more);
      put('AuthorizationPolicy', 'good', path('good', '/good').spec);
      const store = start();
      await store.synced;
      assert.ok(find(store, 'AuthorizationPolicy', 'good') !== undefined, 'one harms no other');
      assert.ok(store.issues.some(({ severity, object }) => severity === 'error' && object === `${kind} shop/bad`));
      const others = store.snapshot.all.filter(({ name }) => name !== 'good');
      assert.ok(others.length <= 1);
      return others[0];
    };

    it('are denied what an AuthorizationPolicy of theirs cannot say, and nobody else (invariant 5)', async () => {
      const standIn = await specOf('AuthorizationPolicy', { selector, action: 'ALLOW', rules: [{ form: [] }] });
      assert.deepEqual(standIn?.spec, { selector, action: 'DENY', rules: [{}] });
      assert.deepEqual([standIn.kind, standIn.namespace, standIn.name], ['AuthorizationPolicy', 'shop', 'bad']);
    });

    const scopeless: [string, unknown][] = [
      ['is no object', { selector: 'web', rules: 7 }],
      ['has labels that are no text', { selector: { matchLabels: { app: 7 } }, rules: 7 }],
      ['has labels that nothing can have', { selector: { matchLabels: { 'a b': 'c' } }, rules: 7 }],
      ['has more than labels', { selector: { matchLabels: { app: 'web' }, matchExpressions: [] }, rules: 7 }],
      ['stands beside a target', { selector, targetRefs: [{ kind: 'Service', name: 'web' }], rules: [{}] }],
    ];
    for (const [what, spec] of scopeless) {
      it(`deny their whole namespace where the selector ${what} (invariant 5)`, async () => {
        const standIn = await specOf('AuthorizationPolicy', spec);
        assert.deepEqual(standIn?.spec, { action: 'DENY', rules: [{}] });
      });
    }

    it('deny their whole namespace where they have no spec that is an object', async () => {
      for (const spec of ['text', 7, ['a']]) {
        assert.deepEqual((await specOf('AuthorizationPolicy', spec))?.spec, { action: 'DENY', rules: [{}] });
      }
    });

    it('stay attached to a gateway, and a trial denies nothing', async () => {
      const targetRefs = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'g' }];
      const attached = await specOf('AuthorizationPolicy', { targetRefs, action: 'MAYBE' });
      assert.deepEqual(attached?.spec, { targetRefs, action: 'DENY', rules: [{}] });
      server.remove(resourceOf('AuthorizationPolicy'), { namespace: 'shop', name: 'bad' });
      const tried = await specOf(
        'AuthorizationPolicy',
        { action: 'MAYBE' },
        { annotations: { 'istio.io/dry-run': 'true' } },
      );
      assert.deepEqual(tried?.annotations, { 'istio.io/dry-run': 'true' });
    });

    it('are STRICT where a PeerAuthentication of theirs cannot be read (invariant 4)', async () => {
      const standIn = await specOf('PeerAuthentication', { selector, mtls: { mode: 'SOMETIMES' } });
      assert.deepEqual([standIn?.kind, standIn?.spec], ['PeerAuthentication', { selector, mtls: { mode: 'STRICT' } }]);
    });

    it('are denied what a RequestAuthentication of theirs would have judged (invariant 5)', async () => {
      const standIn = await specOf('RequestAuthentication', { selector, jwtRules: [{ issuer: 7 }] });
      assert.deepEqual(
        [standIn?.kind, standIn?.spec],
        ['AuthorizationPolicy', { selector, action: 'DENY', rules: [{}] }],
      );
      assert.match(standIn?.name ?? '', /^sealwright_stands_in_uid-\d+$/);
    });

    it('are left out where they are no policies', async () => {
      assert.equal(await specOf('WorkloadEntry', { address: '10.0.0.1', serviceAcount: 'x' }), undefined);
    });

    it('are read again when they can be, and what stood in for them is gone', async () => {
      put('RequestAuthentication', 'bad', { jwtRules: [{ issuer: 7 }] });
      const store = start();
      await store.synced;
      assert.deepEqual(
        store.snapshot.all.map(({ kind }) => kind),
        ['AuthorizationPolicy'],
      );
      put('RequestAuthentication', 'bad', { jwtRules: [{ issuer: 'https://issuer.example', jwks: '{"keys":[]}' }] });
      await eventually(() => find(store, 'RequestAuthentication', 'bad') !== undefined);
      assert.deepEqual(
        store.snapshot.all.map(({ kind }) => kind),
        ['RequestAuthentication'],
      );
      await eventually(() => store.issues.length === 0 || store.issues.every(({ severity }) => severity === 'warning'));
    });

    it('are not taken for what had their name before and was deleted', async () => {
      put('AuthorizationPolicy', 'a', path('a', '/a').spec);
      const store = start();
      await store.synced;
      server.remove(resourceOf('AuthorizationPolicy'), { namespace: 'shop', name: 'a' });
      put('AuthorizationPolicy', 'a', { rules: 7 });
      const wanted = JSON.stringify({ action: 'DENY', rules: [{}] });
      await eventually(() => JSON.stringify(find(store, 'AuthorizationPolicy', 'a')?.spec) === wanted);
    });

    it('are bounded in what they nest', async () => {
      let deep: unknown = 'end';
      for (let level = 0; level < 2_000; level += 1) deep = [deep];
      assert.deepEqual((await specOf('AuthorizationPolicy', { rules: deep }))?.spec, { action: 'DENY', rules: [{}] });
    });

    it('are waited for where they are the settings of the mesh, and stay what they were later', async () => {
      put('ConfigMap', 'sealwright', { mesh: 'pathNormalization: 7' }, { namespace: ROOT });
      const store = start();
      await eventually(() => store.followed.every(({ isSynced }) => isSynced));
      await eventually(() => store.issues.length > 0);
      assert.equal(store.isSynced, false);
      assert.match(store.waitingFor ?? '', /settings of the mesh/);
      put('ConfigMap', 'sealwright', { mesh: 'trustDomainAliases: [old.local]' }, { namespace: ROOT });
      await store.synced;
      put('ConfigMap', 'sealwright', { mesh: 'trustDomainAliases: 7' }, { namespace: ROOT });
      await eventually(() => store.issues.length > 0);
      assert.match(JSON.stringify(store.snapshot.list('ConfigMap')[0]?.spec), /old\.local/);
      assert.equal(store.isSynced, true);
    });

    it('stay what they were where the settings of the mesh are made anew and cannot be read (invariant 5)', async () => {
      const settings = (mesh: string): void => put('ConfigMap', 'sealwright', { mesh }, { namespace: ROOT });
      settings('trustDomainAliases: [old.local]');
      const store = start();
      await store.synced;
      server.remove(resourceOf('ConfigMap'), { namespace: ROOT, name: 'sealwright' });
      await eventually(() => store.snapshot.list('ConfigMap').length === 0);
      settings('trustDomainAliases: 7');
      await eventually(() => store.snapshot.list('ConfigMap').length === 1);
      assert.match(JSON.stringify(store.snapshot.list('ConfigMap')[0]?.spec), /old\.local/);
      assert.ok(store.issues.length > 0);
      settings('trustDomainAliases: [new.local]');
      await eventually(() => JSON.stringify(store.snapshot.list('ConfigMap')[0]?.spec).includes('new.local'));
      assert.deepEqual(store.issues, []);
    });
  });
});
