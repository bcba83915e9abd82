import { strict as assert } from 'node:assert';
import { BundleWriter } from '../../ca/controllers/bundle-writer.ts';
import type { ClusterEvent } from '../../ca/controllers/cluster-event.ts';
import { TrustBundleController } from '../../ca/controllers/trust-bundle-controller.ts';
import { createTrustBundleMetrics } from '../../ca/controllers/trust-bundle-metrics.ts';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { Reflector } from '../../src/kubernetes/reflector.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { encodeCertificates } from '../../src/pki/certificate-pem.ts';
import { CLUSTER_RIGHTS } from '../../tools/rbac/rights.ts';
import { aSecond } from '../fakes/a-second.ts';
import { makeCertificate } from '../fakes/certificates.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { useCluster } from './cluster.ts';
import { rulesOf } from './rules-of.ts';
import { until } from './until.ts';

/** Those of the CA's rights that publishing in namespaces needs, and no more. */
const RULES = rulesOf(
  CLUSTER_RIGHTS.filter(({ resources }) => resources.every((each) => ['namespaces', 'configmaps'].includes(each))),
);

describe('the trust bundle on a real API server (slow)', function () {
  this.timeout(120_000);
  const cluster = useCluster();
  const clock = realClock;
  let client: KubernetesClient;
  let controller: TrustBundleController | undefined;
  let logger: RecordingLogger;
  let events: ClusterEvent[];
  let ours: Buffer;
  let stranger: Buffer;

  before(async () => {
    ours = (await makeCertificate({ subject: 'O=cluster.local' })).certificate;
    stranger = (await makeCertificate({ subject: 'O=istio' })).certificate;
    const namespace = await cluster().namespace('control', ['sealwright-ca']);
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'trust-bundle' } };
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'trust-bundle' };
    const subjects = [{ kind: 'ServiceAccount', name: 'sealwright-ca', namespace }];
    await cluster().apply([
      { ...rbac, kind: 'ClusterRole', rules: RULES },
      { ...rbac, kind: 'ClusterRoleBinding', subjects, roleRef },
    ]);
    const kubeconfig = await cluster().kubeconfigOf(namespace, 'sealwright-ca');
    client = await createKubernetesClient({ config: { kubeconfig }, clock });
  });
  after(() => client?.close());
  beforeEach(() => {
    logger = new RecordingLogger();
    events = [];
  });
  afterEach(async function () {
    if (this.currentTest?.isFailed()) console.error(logger.text);
    await controller?.close();
  });

  const start = (roots: readonly Buffer[] = [ours], takeOver = false): TrustBundleController => {
    const pem = encodeCertificates(roots);
    const registry = createMetrics({ processMetrics: false });
    const metrics = createTrustBundleMetrics(registry, () => undefined);
    const common = { metrics, clock, logger };
    const term = { isCurrent: true, signal: new AbortController().signal };
    controller = new TrustBundleController({
      ...common,
      client,
      follow: (resource, query, read) =>
        new Reflector({ client, resource, query, read, clock, random: Math.random, logger }),
      writer: new BundleWriter({
        ...common,
        ours: { pem, roots },
        takeOver,
        term,
        events: (event) => events.push(event),
      }),
      pem,
      random: Math.random,
    });
    return controller;
  };
  const pathOf = (namespace: string, name = 'istio-ca-root-cert'): string =>
    `/api/v1/namespaces/${namespace}/configmaps/${name}`;
  const read = async (namespace: string, name?: string): Promise<string | undefined> => {
    const { status, body } = await cluster().plane.api('GET', pathOf(namespace, name));
    if (status === 404) return undefined;
    return (body['data'] as Record<string, string> | undefined)?.['root-cert.pem'];
  };
  const pem = (root: Buffer = ours): string => encodeCertificates([root]);
  const publishedIn = (namespace: string, name?: string, within?: number): Promise<void> =>
    until(async () => (await read(namespace, name)) === pem(), within);

  it('is in every namespace, in a new one soon, and soon put right', async () => {
    const old = await cluster().namespace('old');
    start();
    for (const namespace of ['default', 'kube-system', old]) await publishedIn(namespace);

    const namespace = await cluster().namespace('new');
    await publishedIn(namespace, undefined, 3 * aSecond());
    await cluster().ask('DELETE', pathOf(namespace));
    await publishedIn(namespace);
    await cluster().ask('PATCH', pathOf(namespace), { data: { 'root-cert.pem': 'edited' } });
    await publishedIn(namespace, undefined, 3 * aSecond());
    const { metadata } = await cluster().ask('GET', pathOf(namespace));
    assert.deepEqual((metadata as Record<string, unknown>)['labels'], { 'app.kubernetes.io/managed-by': 'sealwright' });
  });

  it('stays another CA’s where that publishes, with ours beside it', async () => {
    const namespace = await cluster().namespace('istio');
    const body = { metadata: { name: 'istio-ca-root-cert' }, data: { 'root-cert.pem': pem(stranger) } };
    await cluster().ask('POST', `/api/v1/namespaces/${namespace}/configmaps`, body);
    start();
    await publishedIn(namespace, 'sealwright-root-cert');
    assert.equal(await read(namespace), pem(stranger));
    assert.deepEqual(
      events.map(({ reason, about }) => [reason, about.namespace]),
      [['UnknownRoots', namespace]],
    );
    await controller?.close();
    start([ours], true);
    await publishedIn(namespace);
  });

  it('does not hold up a namespace that is deleted', async () => {
    start();
    const namespace = await cluster().namespace('brief');
    await publishedIn(namespace);
    await cluster().ask('DELETE', `/api/v1/namespaces/${namespace}`);
    await until(
      async () => (await cluster().plane.api('GET', `/api/v1/namespaces/${namespace}`)).status === 404,
      60_000,
    );
    assert.doesNotMatch(logger.text, /was not written/);
  });

  it('is put right soon after an API server was killed and came back', async () => {
    const namespace = await cluster().namespace('outage');
    start();
    await publishedIn(namespace);
    await cluster().plane.stopApiServer();
    await cluster().plane.startApiServer();
    await cluster().ask('PATCH', pathOf(namespace), { data: { 'root-cert.pem': 'edited' } });
    await publishedIn(namespace);
  });
});
