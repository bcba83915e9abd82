import { strict as assert } from 'node:assert';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openChannel } from '../../src/wire/grpc-client.ts';
import { CLUSTER_RIGHTS, ROOT_RIGHTS, SECRET_RIGHTS } from '../../tools/rbac/rights.ts';
import { aSecond } from '../fakes/a-second.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { realClock } from '../fakes/real-clock.ts';
import { createCertificate, RunningCa } from '../fakes/running-ca.ts';
import { useCluster } from './cluster.ts';
import { rulesOf } from './rules-of.ts';
import { until } from './until.ts';

/** Rejects after so many milliseconds. */
function nothingWithin(within: number): Promise<never> {
  return new Promise((_resolve, reject) => {
    realClock.after(within, () => reject(new Error(`nothing within ${within} ms`)));
  });
}

describe('replicas of the CA on a real API server (slow)', function () {
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
    // What the manifests give, for a root namespace of the test's own.
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' };
    const subjects = [{ kind: 'ServiceAccount', name: 'sealwright-ca', namespace }];
    const refer = (kind: string): object => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name: namespace });
    const metadata = { name: namespace };
    await cluster().apply([
      { ...rbac, kind: 'ClusterRole', metadata, rules: rulesOf(CLUSTER_RIGHTS) },
      { ...rbac, kind: 'ClusterRoleBinding', metadata, subjects, roleRef: refer('ClusterRole') },
      {
        ...rbac,
        kind: 'Role',
        metadata: { name: namespace, namespace },
        rules: rulesOf([...ROOT_RIGHTS, ...SECRET_RIGHTS]),
      },
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
      `${namespace}/sealwright-ca`,
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
    const { data } = await cluster().ask('GET', `/api/v1/namespaces/${namespace}/secrets/sealwright-ca`);
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
    // A lease of three seconds, and a few requests.
    await until(async () => (await published('default')) === root, 8 * aSecond());
    assert.equal(await leads(other), true);
  });

  it('all issue under the one root, without a failure while the leader is killed and another takes over', async () => {
    const replicas = await Promise.all([start('one'), start('two'), start('three')]);
    const { 'root-cert.pem': pem = '' } = await secret();
    const root = new X509Certificate(pem);
    const leaderAmong = async (candidates: readonly RunningCa[]): Promise<RunningCa> => {
      let found: RunningCa | undefined;
      await until(async () => {
        for (const ca of candidates) if (await leads(ca)) found = ca;
        return found !== undefined;
      });
      return found ?? assert.fail();
    };
    const leader = await leaderAmong(replicas);
    const counts = { issued: 0, failed: 0, issuedAfter: 0 };
    const called = new Set(replicas);
    const call = async (ca: RunningCa): Promise<void> => {
      const token = await ca.token('shop', 'catalog');
      const tls = { roots: pem, serverName: 'localhost' };
      const channel = openChannel({ address: `127.0.0.1:${ca.port}`, clock: realClock, tls });
      const csr = makeCsrPem();
      while (called.has(ca)) {
        try {
          const { certChain } = await createCertificate(channel, { csr, token });
          assert.ok(new X509Certificate(certChain[0] ?? '').verify(root.publicKey));
          counts.issued += 1;
          if (!called.has(leader)) counts.issuedAfter += 1;
        } catch (error) {
          // Whoever was asked at that moment was killed; any other failure is one.
          if (called.has(ca)) {
            counts.failed += 1;
            console.error(error);
          }
        }
      }
      channel.close();
    };
    const calls = replicas.flatMap((ca) => [call(ca), call(ca)]);
    await until(() => counts.issued > 100);
    called.delete(leader);
    await leader.stop('SIGKILL');
    const left = replicas.filter((ca) => ca !== leader);
    await leaderAmong(left);
    const until200 = counts.issuedAfter + 200;
    await until(() => counts.issuedAfter >= until200);
    called.clear();
    await Promise.all(calls);
    assert.equal(counts.failed, 0);
    assert.equal((await Promise.all(left.map((ca) => leads(ca)))).filter((each) => each).length, 1);
    await cluster().ask('DELETE', `/api/v1/namespaces/default/configmaps/istio-ca-root-cert`);
    await until(async () => (await published('default')) === pem);
  });

  it('start once an API server is there that was away', async () => {
    await cluster().plane.stopApiServer();
    const starting = start('one');
    // It waits: nothing else can make a CA of it.
    await assert.rejects(Promise.race([starting, nothingWithin(3_000)]), /nothing within/);
    await cluster().plane.startApiServer();
    const ca = await starting;
    await until(() => leads(ca));
  });

  it('give way to another controller that writes the same bundle on and on, and say so', async () => {
    const one = await start('one');
    const { 'root-cert.pem': root } = await secret();
    await until(async () => (await published('default')) === root);
    const path = '/api/v1/namespaces/default/configmaps/istio-ca-root-cert';
    const edit = () => cluster().ask('PATCH', path, { data: { 'root-cert.pem': 'another’s' } });
    const repaired = async (times: number): Promise<void> => {
      for (let time = 0; time < times; time += 1) {
        await edit();
        await until(async () => (await published('default')) === root);
      }
    };
    await repaired(1);
    const began = performance.now();
    await repaired(4);
    // The first of these is free; from it to the last there are waits of one, two and four seconds.
    const took = performance.now() - began;
    assert.ok(took >= 6_990, `the last repair was ${Math.round(took)} ms later`);
    await edit();
    await one.logged('another controller writes the trust bundle again and again; it is repaired ever more seldom');
    assert.equal(await metric(one, 'sealwright_trust_bundle_contested_total'), 1);
  });

  it('hand over at once when the leader is told to stop', async () => {
    // Who had to wait for the end of the lease would wait for longer than this test does.
    const long = ['--ca-leader-election-lease-duration', '60s'];
    const one = await start('one', ...long);
    await until(() => leads(one));
    const two = await start('two', ...long);
    await one.stop('SIGTERM');
    await until(() => leads(two), 30_000);
  });

  it('say that their Secret was changed or deleted, and go on with what they have', async () => {
    const one = await start('one');
    const { 'root-cert.pem': root } = await secret();
    const path = `/api/v1/namespaces/${namespace}/secrets/sealwright-ca`;
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
    const metadata = { name: 'sealwright-ca' };
    await cluster().ask('POST', `/api/v1/namespaces/${namespace}/secrets`, { metadata, data });
    await assert.rejects(start('one'), new RegExp(`Secret ${namespace}/sealwright-ca.*lacks ca-cert.pem`));
  });
});
