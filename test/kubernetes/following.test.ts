import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { ReflectorMetrics, ReflectorOptions } from '../../src/kubernetes/reflector-options.ts';
import { Reflector } from '../../src/kubernetes/reflector.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { rejection } from '../fakes/rejection.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster } from './cluster.ts';
import { configMaps, policies, secrets } from './kinds.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

const AUDIENCE = 'https://kubernetes.default.svc.cluster.local';

describe('following a real API server (slow)', function () {
  this.timeout(90_000);
  const cluster = useCluster();
  const closing: (() => void | Promise<void>)[] = [];
  let namespace: string;
  let folder: string;
  let ends: string[];
  let lists: number;
  let logger: RecordingLogger;

  before(() => applyCrds(cluster()));
  beforeEach(async function () {
    namespace = await cluster().namespace('following', ['reader']);
    folder = temporaryFolder(this);
    [ends, lists, logger] = [[], 0, new RecordingLogger()];
  });
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  const metrics: ReflectorMetrics = {
    listed: () => (lists += 1),
    failed: () => {},
    watchEnded: (reason) => ends.push(reason),
    unreadable: () => {},
  };
  const open = async (
    config: { kubeconfig: string } | { server: string; caFile: string; tokenFile: string },
  ): Promise<KubernetesClient> => {
    const client = await createKubernetesClient({ config, clock: realClock });
    closing.push(() => client.close());
    return client;
  };
  const admin = (): Promise<KubernetesClient> => open({ kubeconfig: cluster().plane.adminKubeconfig });
  const follow = (client: KubernetesClient, more: Partial<ReflectorOptions<string>> = {}): Reflector<string> => {
    const reflector = new Reflector<string>({
      client,
      resource: configMaps,
      query: { namespace },
      read: ({ body, metadata }) => JSON.stringify(body['data'] ?? body['spec'] ?? metadata.name),
      clock: realClock,
      random: Math.random,
      logger,
      metrics,
      ...more,
      limits: { backoff: [50, 500], goodWatch: 500, ...more.limits },
    });
    closing.push(() => reflector.close());
    return reflector;
  };
  const put = (name: string, value: string): Promise<void> =>
    cluster().apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { value } });
  const said = (reflector: Reflector<string>, name: string): string | undefined =>
    reflector.items.get(`${namespace}/${name}`);

  /**
   * Everything is listed anew only after a server said that it cannot go on from there, which it may at any time. A kind
   * that was just defined is served by another handler once more of it is known, and the watches of the one before end.
   */
  const assertListedOnce = (reflectors = 1): void => {
    const forced = ends.filter((end) => end === 'gone' || end === 'refused').length;
    assert.ok(lists >= reflectors && lists <= reflectors + forced, `${lists} lists; watches: ${ends.join()}`);
  };

  /** A server, its CA and a token of an account, through a proxy where one is given. */
  const accessOf = async (
    account: string,
    port = cluster().plane.port,
  ): Promise<{ server: string; caFile: string; tokenFile: string }> => {
    const tokenFile = join(folder, `${account}.token`);
    writeFileSync(tokenFile, await cluster().token({ namespace, serviceAccount: account, audiences: [AUDIENCE] }));
    return { server: `https://127.0.0.1:${port}`, caFile: cluster().plane.caFile, tokenFile };
  };
  const grant = async (rules: readonly object[]): Promise<void> => {
    await cluster().apply([
      { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'reader', namespace }, rules },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'reader', namespace },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
        subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace }],
      },
    ]);
  };

  it('sees what kubectl does, of built-in kinds and of our own', async () => {
    const client = await admin();
    await put('before', '1');
    const reflector = follow(client);
    const own = follow(client, { resource: policies });
    await Promise.all([reflector.synced, own.synced]);
    assert.equal(said(reflector, 'before'), '{"value":"1"}');
    await put('after', '1');
    await put('before', '2');
    await until(() => said(reflector, 'after') !== undefined && said(reflector, 'before') === '{"value":"2"}');
    await cluster().kubectl(['delete', 'configmap', 'before', '-n', namespace]);
    await until(() => said(reflector, 'before') === undefined);
    await cluster().apply({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'p', namespace },
      spec: { action: 'DENY', rules: [{}] },
    });
    await until(() => said(own, 'p') === '{"action":"DENY","rules":[{}]}');
    assertListedOnce(2);
    // A warning is of a watch that did not end as it should, and of nothing else.
    const warnings = logger.lines.filter(({ level }) => level !== 'debug' && level !== 'info');
    const failed = warnings.filter(({ message }) => message.startsWith('objects cannot be followed'));
    assert.deepEqual(warnings, failed);
    assert.ok(failed.length <= ends.length, `${logger.text}; watches: ${ends.join()}`);
    assert.ok(!ends.includes('garbage') && !ends.includes('silent'), ends.join());
    await until(() => reflector.failures.length === 0 && own.failures.length === 0);
  });

  it('loses nothing where the API server is killed and started again', async () => {
    const reflector = follow(await admin());
    await reflector.synced;
    await put('kept', '1');
    await put('gone', '1');
    await until(() => said(reflector, 'gone') !== undefined && said(reflector, 'kept') !== undefined);
    await cluster().plane.stopApiServer();
    await until(() => reflector.failures.length > 0);
    assert.equal(said(reflector, 'kept'), '{"value":"1"}');
    await cluster().plane.startApiServer();
    await cluster().kubectl(['delete', 'configmap', 'gone', '-n', namespace]);
    await put('kept', '2');
    await until(() => said(reflector, 'kept') === '{"value":"2"}' && said(reflector, 'gone') === undefined, 30_000);
    await until(() => reflector.failures.length === 0);
  });

  it('sees by listing what was deleted while the history of it was compacted away', async () => {
    const { host, port } = cluster().plane;
    const proxy = await TcpProxy.start({ host, port });
    closing.push(() => proxy.close());
    await grant([{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }]);
    const reflector = follow(await open(await accessOf('reader', proxy.port)));
    await put('gone', '1');
    await put('kept', '1');
    await reflector.synced;
    await until(() => said(reflector, 'gone') !== undefined && said(reflector, 'kept') !== undefined);
    proxy.cut();
    await cluster().kubectl(['delete', 'configmap', 'gone', '-n', namespace]);
    await put('kept', '2');
    await cluster().plane.compact();
    await cluster().plane.stopApiServer();
    await cluster().plane.startApiServer();
    assert.equal(said(reflector, 'gone'), '{"value":"1"}');
    proxy.restore();
    await until(() => said(reflector, 'gone') === undefined && said(reflector, 'kept') === '{"value":"2"}', 30_000);
    assert.ok(ends.includes('gone'), ends.join());
    assert.ok(lists >= 2, 'once at the beginning, and once without the history');
    assertListedOnce();
  });

  it('gives up a watch whose network went silent, and goes on where it was', async () => {
    const { host, port } = cluster().plane;
    const proxy = await TcpProxy.start({ host, port });
    closing.push(() => proxy.close());
    await grant([{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }]);
    const reflector = follow(await open(await accessOf('reader', proxy.port)), { limits: { silence: 3_000 } });
    await reflector.synced;
    await put('a', '1');
    await until(() => said(reflector, 'a') === '{"value":"1"}');
    const before = lists;
    proxy.silence();
    await put('a', '2');
    await until(() => said(reflector, 'a') === '{"value":"2"}', 20_000);
    assert.ok(ends.includes('silent'));
    // From the last version, not from the beginning.
    assert.equal(before, 1);
    assertListedOnce();
  });

  it('is ended by the server in order, and begins again', async () => {
    const reflector = follow(await admin(), { limits: { watchTime: [1_000, 1_000] } });
    await reflector.synced;
    await until(() => ends.filter((end) => end === 'ended').length >= 2, 20_000);
    await put('a', '1');
    await until(() => said(reflector, 'a') !== undefined);
    assertListedOnce();
  });

  it('goes on with a new token where the old one is good no longer', async () => {
    await grant([{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }]);
    const access = await accessOf('reader');
    const reflector = follow(await open(access), { limits: { watchTime: [1_000, 1_000] } });
    await reflector.synced;
    await cluster().kubectl(['delete', 'serviceaccount', 'reader', '-n', namespace]);
    await cluster().serviceAccount(namespace, 'reader');
    await until(() => reflector.failures.some(({ fields }) => fields['status'] === 401), 30_000);
    await put('a', '1');
    await accessOf('reader');
    await until(() => said(reflector, 'a') !== undefined, 30_000);
    await until(() => reflector.failures.length === 0);
  });

  it('names the permissions that it lacks, and begins when it is given them', async () => {
    const client = await open(await accessOf('reader'));
    const reflector = follow(client);
    const named = follow(client, { query: { namespace, fieldSelector: 'metadata.name=sealwright' } });
    const verbs = (): string =>
      reflector.failures
        .map(({ code, fields }) => `${code} ${String(fields['verb'])} ${String(fields['resource'])}`)
        .sort()
        .join();
    await until(() => verbs() === 'kubernetes_forbidden list configmaps,kubernetes_forbidden watch configmaps');
    await put('sealwright', '1');
    // The least that a role can grant of ConfigMaps: the one that has this name.
    await grant([
      { apiGroups: [''], resources: ['configmaps'], resourceNames: ['sealwright'], verbs: ['list', 'watch'] },
    ]);
    await named.synced;
    assert.equal(said(named, 'sealwright'), '{"value":"1"}');
    assert.equal(reflector.isSynced, false);
    await grant([{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }]);
    await reflector.synced;
    await until(() => reflector.failures.length === 0);
  });

  it('waits for a kind that is defined later', async () => {
    const things = { group: 'sealwright.example', version: 'v1', kind: 'Thing', plural: 'things', namespaced: true };
    const reflector = follow(await admin(), { resource: things });
    await until(() => reflector.failures.some(({ code }) => code === 'kubernetes_not_found'));
    await cluster().apply({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.sealwright.example' },
      spec: {
        group: things.group,
        scope: 'Namespaced',
        names: { kind: 'Thing', plural: 'things' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    });
    await reflector.synced;
    await cluster().kubectl(['delete', 'crd', 'things.sealwright.example']);
  });

  it('reads and writes objects as the server means it', async () => {
    const client = await admin();
    const at = { namespace, name: 'a' };
    const made = await client.create(configMaps, { metadata: { name: 'a' }, data: { k: '1' } }, { namespace });
    await rejection(client.create(configMaps, { metadata: { name: 'a' } }, { namespace }), 'kubernetes_exists');
    const { resourceVersion, uid } = made.metadata;
    const put2 = await client.update(configMaps, { metadata: { name: 'a', resourceVersion }, data: { k: '2' } }, at);
    await rejection(
      client.update(configMaps, { metadata: { name: 'a', resourceVersion }, data: {} }, at),
      'kubernetes_conflict',
    );
    assert.deepEqual((await client.mergePatch(configMaps, { data: { l: '3' } }, at)).body['data'], { k: '2', l: '3' });
    const manager = { ...at, fieldManager: 'sealwright' };
    const taken = await rejection(client.apply(configMaps, { data: { k: '9' } }, manager), 'kubernetes_conflict');
    assert.match(String(taken.fields['causes']), /FieldManagerConflict/);
    const applied = await client.apply(configMaps, { data: { k: '9' } }, { ...manager, force: true });
    assert.deepEqual(applied.body['data'], { k: '9', l: '3' });
    assert.equal((await client.get(configMaps, at))?.metadata.uid, uid);
    assert.notEqual(put2.metadata.resourceVersion, resourceVersion);
    await rejection(client.delete(configMaps, { ...at, uid: 'another' }), 'kubernetes_conflict');
    assert.equal(await client.delete(configMaps, { ...at, uid }), true);
    assert.equal(await client.delete(configMaps, at), false);
    assert.equal(await client.get(configMaps, at), undefined);
    const invalid = await rejection(
      client.create(policies, { metadata: { name: 'x' }, spec: { action: 'MAYBE' } }, { namespace }),
      'kubernetes_invalid',
    );
    assert.match(invalid.message, /spec\.action/);
    const secret = { metadata: { name: 's' }, type: 'kubernetes.io/tls', stringData: { 'tls.key': 'hunter2' } };
    assert.doesNotMatch(
      JSON.stringify(await rejection(client.create(secrets, secret, { namespace }), 'kubernetes_invalid')),
      /hunter2/,
    );
    for (let i = 0; i < 5; i += 1) await client.create(configMaps, { metadata: { name: `c${i}` } }, { namespace });
    const page = await client.list(configMaps, { namespace, limit: 2 });
    assert.equal(page.items.length, 2);
    assert.equal(page.items[0]?.kind, 'ConfigMap');
    assert.ok(page.continue !== undefined);
    assert.equal((await client.list(configMaps, { namespace, limit: 2, continue: page.continue })).items.length, 2);
  });
});
