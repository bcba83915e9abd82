import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../fakes/folder.ts';
import { RunningCa } from '../fakes/running-ca.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

/** What a CA with its root in a Secret may do to publish and to lead, as docs/security.md lists it. */
const named = (apiGroup: string, resource: string, names: readonly string[], verbs: readonly string[]): object => ({
  apiGroups: [apiGroup],
  resources: [resource],
  verbs,
  ...(names.length === 0 ? {} : { resourceNames: names }),
});
const BUNDLES = ['istio-ca-root-cert', 'sealwright-root-cert'];
const CLUSTER_RULES = [
  named('', 'namespaces', [], ['list', 'watch']),
  named('', 'configmaps', [], ['create']),
  named('', 'configmaps', BUNDLES, ['get', 'list', 'watch', 'patch']),
  named('certificates.k8s.io', 'clustertrustbundles', [], ['create']),
  named('certificates.k8s.io', 'clustertrustbundles', ['sealwright.io:ca:root-cert'], ['list', 'watch', 'patch']),
  named('certificates.k8s.io', 'signers', ['sealwright.io/ca'], ['attest']),
];
const NAMESPACE_RULES = [
  named('coordination.k8s.io', 'leases', [], ['create']),
  named('coordination.k8s.io', 'leases', ['sealwright-ca'], ['get', 'update']),
  named('', 'secrets', [], ['create']),
  named('', 'secrets', ['sealwright-root'], ['get', 'list', 'watch']),
];

describe('replicas of the CA on a real API server', function () {
  this.timeout(120_000);
  const cluster = useCluster(() => ({
    apiServerFlags: [
      '--feature-gates=ClusterTrustBundle=true',
      '--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true',
    ],
  }));
  let namespace: string;
  let kubeconfig: string;
  let folder: string;
  let running: RunningCa[];

  beforeEach(async function () {
    folder = temporaryFolder(this);
    running = [];
    namespace = await cluster().namespace('sealwright', ['sealwright-ca']);
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' };
    const subjects = [{ kind: 'ServiceAccount', name: 'sealwright-ca', namespace }];
    const refer = (kind: string): object => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name: namespace });
    const metadata = { name: namespace };
    await cluster().apply([
      { ...rbac, kind: 'ClusterRole', metadata, rules: CLUSTER_RULES },
      { ...rbac, kind: 'ClusterRoleBinding', metadata, subjects, roleRef: refer('ClusterRole') },
      { ...rbac, kind: 'Role', metadata: { name: namespace, namespace }, rules: NAMESPACE_RULES },
      { ...rbac, kind: 'RoleBinding', metadata: { name: namespace, namespace }, subjects, roleRef: refer('Role') },
    ]);
    kubeconfig = await cluster().kubeconfigOf(namespace, 'sealwright-ca');
  });
  afterEach(async function () {
    if (this.currentTest?.isFailed())
      for (const { log } of running) console.error(log.map((line) => JSON.stringify(line)));
    await Promise.all(running.map((ca) => ca.stop('SIGKILL')));
    // The next test has roots of its own, which are those of another CA to what this one published.
    await cluster().kubectl(['delete', 'configmap', '-A', '--field-selector', 'metadata.name=istio-ca-root-cert']);
    await cluster().kubectl(['delete', 'clustertrustbundle', '--all']);
  });

  const start = async (name: string, ...flags: string[]): Promise<RunningCa> => {
    const settings = [
      '--kubernetes-enabled',
      'true',
      '--kubernetes-kubeconfig',
      kubeconfig,
      '--root-namespace',
      namespace,
    ];
    const times = ['--ca-leader-election-lease-duration', '3s', '--ca-leader-election-renew-deadline', '2s'];
    const ca = await RunningCa.start(join(folder, name), [
      ...settings,
      ...times,
      '--ca-leader-election-retry-period',
      '400ms',
      '--ca-roots-secret',
      `${namespace}/sealwright-root`,
      ...flags,
    ]);
    running.push(ca);
    return ca;
  };
  const metric = async (ca: RunningCa, series: string): Promise<number | undefined> => {
    const text = await (await fetch(`http://127.0.0.1:${ca.metricsPort}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  const leads = async (ca: RunningCa): Promise<boolean> =>
    (await metric(ca, 'leader_election_master_status{name="sealwright-ca"}')) === 1;
  const published = async (of: string): Promise<string | undefined> => {
    const { status, body } = await cluster().plane.api('GET', `/api/v1/namespaces/${of}/configmaps/istio-ca-root-cert`);
    return status === 404 ? undefined : (body['data'] as Record<string, string> | undefined)?.['root-cert.pem'];
  };
  const secret = async (): Promise<Record<string, string>> => {
    const { data } = await cluster().ask('GET', `/api/v1/namespaces/${namespace}/secrets/sealwright-root`);
    return Object.fromEntries(
      Object.entries(data as Record<string, string>).map(([name, value]) => [
        name,
        Buffer.from(value, 'base64').toString(),
      ]),
    );
  };
  const saidOf = (ca: RunningCa): string => ca.log.map((line) => JSON.stringify(line)).join('\n');

  it('share one root that is on no disk of theirs, publish it, and hand over to another when one is killed', async () => {
    const [one, two] = await Promise.all([start('one'), start('two')]);
    assert.ok(one !== undefined && two !== undefined);
    const { 'root-cert.pem': root = '', 'ca-key.pem': key = '' } = await secret();
    assert.match(key, /PRIVATE KEY/);
    const made = running.filter((ca) => saidOf(ca).includes('made a self-signed CA'));
    assert.equal(made.length, 1);
    await until(async () => (await published(namespace)) === root && (await published('default')) === root);

    for (const name of ['one', 'two']) {
      const state = join(folder, name, 'ca');
      assert.ok(
        !readdirSync(state).some((file) => /^(ca-key|ca-cert|root-cert)/.test(file)),
        readdirSync(state).join(),
      );
      for (const file of readdirSync(state)) {
        if (file.endsWith('.sock')) continue;
        assert.ok(!readFileSync(join(state, file)).includes(key.split('\n')[1] ?? key), `the key is in ${file}`);
      }
    }
    for (const ca of running)
      assert.ok(!saidOf(ca).includes('PRIVATE') && !saidOf(ca).includes(key.split('\n')[1] ?? key));

    const bundle = `/apis/certificates.k8s.io/v1beta1/clustertrustbundles/sealwright.io:ca:root-cert`;
    const clusterBundle = async (): Promise<string> => {
      const { status, body } = await cluster().plane.api('GET', bundle);
      return status === 404 ? '' : String((body['spec'] as Record<string, unknown>)['trustBundle']);
    };
    await until(async () => (await clusterBundle()) === root);
    await cluster().ask('DELETE', bundle);
    await until(async () => (await clusterBundle()) === root);

    const [leader, other] = (await leads(one)) ? [one, two] : [two, one];
    assert.deepEqual([await leads(leader), await leads(other)], [true, false]);
    assert.equal(await metric(other, 'sealwright_trust_bundle_namespaces{state="published"}'), undefined);
    await leader.stop('SIGKILL');
    await cluster().ask('DELETE', `/api/v1/namespaces/default/configmaps/istio-ca-root-cert`);
    const began = performance.now();
    await until(async () => (await published('default')) === root);
    const took = performance.now() - began;
    assert.ok(took < 8_000, `repaired by the next leader after ${Math.round(took)} ms`);
    assert.equal(await leads(other), true);
  });

  it('hand over at once when the leader is told to stop', async () => {
    const one = await start('one');
    await until(() => leads(one));
    const two = await start('two');
    await one.stop('SIGTERM');
    const began = performance.now();
    await until(() => leads(two));
    assert.ok(performance.now() - began < 2_500);
  });

  it('say that their Secret was changed or deleted, and go on with what they have', async () => {
    const one = await start('one');
    const { 'root-cert.pem': root } = await secret();
    const path = `/api/v1/namespaces/${namespace}/secrets/sealwright-root`;
    assert.equal(await metric(one, 'sealwright_root_secret_differs'), 0);
    await cluster().ask('PATCH', path, { data: { 'ca-key.pem': 'eA==' } });
    await one.logged('the Secret of the CA was changed; this CA goes on with what it was started with');
    await cluster().ask('DELETE', path);
    await one.logged('the Secret of the CA was deleted; this CA goes on with what it has in memory');
    assert.equal(await metric(one, 'sealwright_root_secret_differs'), 1);
    await until(async () => (await published(namespace)) === root);
    // And nobody starts with another root in its place.
    await assert.rejects(start('two'), /ca_secret_lost|Secret of the CA is gone/);
  });

  it('do not start with a Secret that is damaged, and name it', async () => {
    const data = { 'ca-key.pem': Buffer.from('x').toString('base64') };
    const metadata = { name: 'sealwright-root' };
    await cluster().ask('POST', `/api/v1/namespaces/${namespace}/secrets`, { metadata, data });
    await assert.rejects(start('one'), new RegExp(`Secret ${namespace}/sealwright-root.*lacks ca-cert.pem`));
  });
});
