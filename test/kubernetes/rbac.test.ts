import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EventRecorder } from '../../ca/controllers/events.ts';
import { OperatorClient } from '../../src/cli/operator-client.ts';
import { createKubernetesClient } from '../../src/kubernetes/api-client.ts';
import { resourceName } from '../../src/kubernetes/api-resource.ts';
import { CLUSTER_RIGHTS, ROOT_NAMESPACE, ROOT_RIGHTS, SERVICE_ACCOUNT, type Right } from '../../tools/rbac/rights.ts';
import { ecKeys } from '../fakes/certificate-maker.ts';
import { makeCsrPem } from '../fakes/csr-maker.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { createCertificate, RunningCa } from '../fakes/running-ca.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster } from './cluster.ts';
import { installManifests } from './install-manifests.ts';
import { rulesOf } from './rules-of.ts';
import { until } from './until.ts';

const USER = `system:serviceaccount:${ROOT_NAMESPACE}:${SERVICE_ACCOUNT}`;
const ROLES = '/apis/rbac.authorization.k8s.io/v1';

/** One verb on one resource. */
interface Single {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly names: readonly string[] | undefined;
}

function singles(rights: readonly Right[]): Single[] {
  return rights.flatMap(({ group, resources, names, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => ({ verb, group, resource, names }))),
  );
}

/** As the log has it. */
function nameOf({ group, resource }: Pick<Single, 'group' | 'resource'>): string {
  const [plural = '', subresource] = resource.split('/');
  return resourceName({ group, plural }, subresource);
}

describe('the rights of the CA on a real API server (slow)', function () {
  this.timeout(240_000);
  const cluster = useCluster(() => ({
    apiServerFlags: [
      '--feature-gates=ClusterTrustBundle=true',
      '--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true',
    ],
  }));
  let ca: RunningCa | undefined;
  let folder: string;

  before('a role', async () => {
    await applyCrds(cluster());
    await cluster().ask('POST', '/api/v1/namespaces', { metadata: { name: ROOT_NAMESPACE } });
    await installManifests(cluster(), ['ca', 'operators']);
  });
  beforeEach(function () {
    folder = temporaryFolder(this);
  });
  afterEach(async function () {
    if (this.currentTest?.isFailed()) console.error(ca?.log.map((line) => JSON.stringify(line)).join('\n'));
    await ca?.stop('SIGKILL');
    ca = undefined;
  });

  const may = async ({ verb, group, resource, names }: Single, namespace?: string): Promise<boolean> => {
    const [plural, subresource] = resource.split('/');
    const name = names?.[0];
    const { status } = await cluster().ask('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      spec: { user: USER, resourceAttributes: { verb, group, resource: plural, subresource, name, namespace } },
    });
    return (status as { allowed: boolean }).allowed;
  };

  /** Takes single rights away, and gives back all others. */
  const without = async (gone: (right: Single) => boolean): Promise<void> => {
    const rulesLeftOf = (rights: readonly Right[]): object[] =>
      singles(rights)
        .filter((right) => !gone(right))
        .flatMap(({ verb, group, resource, names }) =>
          rulesOf([{ group, resources: [resource], names, verbs: [verb] }]),
        );
    const head = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: SERVICE_ACCOUNT } };
    const inRoot = `${ROLES}/namespaces/${ROOT_NAMESPACE}/roles/${SERVICE_ACCOUNT}`;
    await cluster().ask('PUT', `${ROLES}/clusterroles/${SERVICE_ACCOUNT}`, {
      ...head,
      kind: 'ClusterRole',
      rules: rulesLeftOf(CLUSTER_RIGHTS),
    });
    await cluster().ask('PUT', inRoot, { ...head, kind: 'Role', rules: rulesLeftOf(ROOT_RIGHTS) });
    // The authorizer hears of it by a watch of its own.
    for (const right of singles(CLUSTER_RIGHTS)) await until(async () => (await may(right, 'x')) === !gone(right));
    for (const right of singles(ROOT_RIGHTS))
      await until(async () => (await may(right, ROOT_NAMESPACE)) === !gone(right));
  };

  const start = async (): Promise<RunningCa> => {
    const kubeconfig = await cluster().kubeconfigOf(ROOT_NAMESPACE, SERVICE_ACCOUNT);
    const settings = {
      kubernetes: { enabled: true, kubeconfig },
      ca: {
        auth: { tokenReview: { enabled: true } },
        leaderElection: { leaseDuration: '3s', renewDeadline: '2s', retryPeriod: '400ms' },
        // Another CA was the last: what it published is not known to this one.
        trustBundle: { takeOver: true },
      },
    };
    // JSON is YAML.
    writeFileSync(join(folder, 'sealwright.yaml'), JSON.stringify(settings));
    ca = await RunningCa.start(folder);
    return ca;
  };

  /** Gives the CA a reason for each of its rights. */
  const everythingHappens = async (running: RunningCa): Promise<string> => {
    const namespace = await cluster().namespace('shop', ['web', 'viewer']);
    const security = { apiVersion: 'security.istio.io/v1', metadata: { namespace, name: 'a' } };
    const networking = { apiVersion: 'networking.istio.io/v1', metadata: { namespace, name: 'a' } };
    await cluster().apply([
      { ...security, kind: 'AuthorizationPolicy', spec: {} },
      { ...security, kind: 'PeerAuthentication', spec: { mtls: { mode: 'STRICT' } } },
      { ...security, kind: 'RequestAuthentication', spec: {} },
      { ...networking, kind: 'DestinationRule', spec: { host: 'web' } },
      { ...networking, kind: 'Sidecar', spec: { egress: [{ hosts: ['./*'] }] } },
    ]);
    const uid = await cluster().pod({ namespace, name: 'web-1', serviceAccount: 'web' });
    const token = await cluster().token({ namespace, serviceAccount: 'web', pod: { name: 'web-1', uid } });
    const channel = running.channel();
    const keys = ecKeys();
    try {
      await createCertificate(channel, { csr: 'no CSR', token }).catch(() => undefined);
      const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ keys }), token });
      const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const own = running.channel({ certificateChain: certChain[0] ?? '', privateKey });
      await createCertificate(own, { csr: makeCsrPem() }).catch(() => undefined);
      own.close();
    } catch {
      // It may be what a missing right comes to: the log is what is asked.
    }
    channel.close();
    const operator = await cluster().token({ namespace, serviceAccount: 'viewer', audiences: ['sealwright-operator'] });
    const client = new OperatorClient({
      host: '127.0.0.1',
      port: running.operatorPort,
      roots: running.rootPem,
      token: operator,
    });
    await client.post('/v1/tokens', {}).catch(() => undefined);
    return namespace;
  };

  const says = (running: RunningCa, { verb, ...right }: Single): boolean => {
    const name = nameOf(right).replaceAll('.', '\\.');
    // Of an error as an object, or within a text; and in the words of TokenReview.
    const fields = `verb.{1,6}"${verb}.{1,4},.{0,3}"?resource.{1,8}${name}\\\\*"`;
    const pattern = new RegExp(`${fields}|may not ${verb} ${name}`);
    return running.log.some((line) => pattern.test(JSON.stringify(line)));
  };

  const namesEachOf = async (gone: (right: Single) => boolean, { keepBundles = false } = {}): Promise<void> => {
    await without(gone);
    if (!keepBundles) await cluster().kubectl(['delete', 'clustertrustbundle', '--all']);
    const running = await start();
    await everythingHappens(running);
    const missing = [...singles(CLUSTER_RIGHTS), ...singles(ROOT_RIGHTS)].filter(gone);
    assert.ok(missing.length > 0);
    const silent = (): string[] =>
      missing.filter((right) => !says(running, right)).map((right) => `${right.verb} ${nameOf(right)}`);
    await until(() => silent().length === 0, 30_000).catch(() => assert.deepEqual(silent(), []));
  };

  it('are no more than these', async () => {
    await without(() => false);
    const forbidden: readonly (readonly [verb: string, group: string, resource: string, name?: string])[] = [
      ['get', '', 'secrets'],
      ['list', '', 'secrets'],
      ['get', '', 'configmaps', 'other'],
      ['list', '', 'configmaps'],
      ['patch', '', 'configmaps', 'kube-root-ca.crt'],
      ['create', '', 'pods'],
      ['patch', '', 'pods'],
      ['create', '', 'serviceaccounts/token'],
      ['impersonate', '', 'users'],
      ['patch', 'security.istio.io', 'authorizationpolicies'],
      ['delete', 'security.istio.io', 'authorizationpolicies'],
      ['update', 'security.istio.io', 'authorizationpolicies/status'],
      ['create', 'rbac.authorization.k8s.io', 'clusterrolebindings'],
      ['update', 'coordination.k8s.io', 'leases', 'kube-scheduler'],
      ['attest', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-serving'],
    ];
    for (const [verb, group, resource, name] of forbidden) {
      const names = name === undefined ? undefined : [name];
      for (const namespace of ['default', ROOT_NAMESPACE]) {
        assert.equal(
          await may({ verb, group, resource, names }, namespace),
          false,
          `${verb} ${resource} ${name ?? ''}`,
        );
      }
    }
  });

  it('are enough for all that the CA does', async () => {
    await without(() => false);
    const running = await start();
    await running.logged('the resources of the cluster were read');
    const namespace = await everythingHappens(running);
    const kubectl = (...args: string[]) => cluster().kubectl(args);
    await until(async () => (await kubectl('get', 'cm', 'istio-ca-root-cert', '-n', namespace)).code === 0);
    for (const kind of ['ap', 'pa', 'ra', 'dr', 'sidecar']) {
      const { code, stderr } = await kubectl(
        'wait',
        '--for=condition=Accepted',
        '--timeout=30s',
        `${kind}/a`,
        '-n',
        namespace,
      );
      assert.equal(code, 0, stderr);
    }
    await until(async () => (await kubectl('get', 'events', '-n', namespace)).stdout.includes('CertificateNotIssued'));
    await kubectl('patch', 'cm', 'istio-ca-root-cert', '-n', namespace, '-p', '{"data":{"root-cert.pem":""}}');
    await until(async () =>
      (await kubectl('get', 'cm', 'istio-ca-root-cert', '-n', namespace, '-o', 'yaml')).stdout.includes('BEGIN'),
    );
    await until(async () =>
      (await kubectl('get', 'clustertrustbundles')).stdout.includes('sealwright.io:ca:root-cert'),
    );
    const forbidden = running.log.filter((line) => /forbidden/i.test(JSON.stringify(line)));
    assert.deepEqual(forbidden, []);
  });

  for (const verb of ['list', 'watch'] as const) {
    // Every service account may read ClusterTrustBundles, by a role of the API server's own.
    it(`are named, each of them, where those to ${verb} are missing`, () =>
      namesEachOf((right) => right.verb === verb && right.resource !== 'clustertrustbundles'));
  }

  it('are named where that to count an Event is missing', async () => {
    await without(({ verb, resource }) => verb === 'patch' && resource === 'events');
    const config = { kubeconfig: await cluster().kubeconfigOf(ROOT_NAMESPACE, SERVICE_ACCOUNT) };
    const client = await createKubernetesClient({ config, clock: realClock });
    const logger = new RecordingLogger();
    // The count of an Event is written once a minute.
    const clock = {
      now: () => realClock.now(),
      elapsed: () => realClock.elapsed() * 100,
      after: (delay: number, call: () => void) => realClock.after(delay / 100, call),
    };
    const recorder = new EventRecorder({ client, instance: 'a', clock, randomBytes, logger });
    const about = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'a' };
    const record = (): void => recorder.record({ about, type: 'Normal', reason: 'Seen', message: 'seen' });
    record();
    await until(async () => (await cluster().kubectl(['get', 'events'])).stdout.includes('pod/a'));
    record();
    await until(() => /verb.{1,6}patch.{1,20}events/.test(logger.text));
    await recorder.close();
    client.close();
  });

  it('are named where that to attest is missing', async () => {
    await without(({ verb }) => verb === 'attest');
    await cluster().kubectl(['delete', 'clustertrustbundle', '--all']);
    const running = await start();
    await until(() => running.log.some((line) => /attest.{1,40}sealwright\.io\/ca/.test(JSON.stringify(line))));
  });

  it('are named where those to mend a bundle are missing', async () => {
    const namespace = await cluster().namespace('mended');
    await without(() => false);
    const first = await start();
    const kubectl = (...args: string[]) => cluster().kubectl(args);
    await until(async () => (await kubectl('get', 'cm', 'istio-ca-root-cert', '-n', namespace)).code === 0);
    await until(async () =>
      (await kubectl('get', 'clustertrustbundles')).stdout.includes('sealwright.io:ca:root-cert'),
    );
    await first.stop('SIGKILL');
    // The next CA has another root, which has to get into both.
    folder = join(folder, 'next');
    mkdirSync(folder);
    const bundles = ['configmaps', 'clustertrustbundles'];
    await namesEachOf(({ verb, resource }) => verb === 'patch' && bundles.includes(resource), { keepBundles: true });
  });

  it('are named where that to review tokens is missing', () =>
    namesEachOf(({ resource }) => resource === 'tokenreviews'));

  it('are named, each of them, where those to create and to get pods are missing', () =>
    namesEachOf(({ verb, resource }) => {
      return verb === 'create' && !['leases', 'tokenreviews'].includes(resource)
        ? true
        : verb === 'get' && resource === 'pods';
    }));

  it('are named where that to get service accounts is missing', () =>
    namesEachOf(({ verb, resource }) => verb === 'get' && resource === 'serviceaccounts'));

  it('are named, each of them, where those to patch a status are missing', () =>
    namesEachOf(({ verb, resource }) => verb === 'patch' && resource.endsWith('/status')));

  for (const verb of ['get', 'update', 'create'] as const) {
    it(`are named where that to ${verb} the lease is missing`, async () => {
      const path = `/apis/coordination.k8s.io/v1/namespaces/${ROOT_NAMESPACE}/leases/${SERVICE_ACCOUNT}`;
      if (verb === 'create') await cluster().plane.api('DELETE', path);
      await namesEachOf((right) => right.resource === 'leases' && right.verb === verb);
    });
  }
});
