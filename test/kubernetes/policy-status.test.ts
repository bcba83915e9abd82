import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { Distribution } from '../../ca/distribution/distribution.ts';
import { createDistributionMetrics } from '../../ca/distribution/distribution-metrics.ts';
import { EventRecorder } from '../../ca/controllers/events.ts';
import { PolicyStatus } from '../../ca/controllers/policy-status.ts';
import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { ClusterStore } from '../../src/resources/cluster-store.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { JoinedSidecar, TRUST_DOMAIN } from '../ca/distribution/mesh.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

const ROOT = 'sealwright-system';

describe('the status of policies in a real API server (slow)', function () {
  this.timeout(120_000);
  const cluster = useCluster();
  const logger = new RecordingLogger();
  let client: KubernetesClient;
  let store: ClusterStore;
  let distribution: Distribution;
  let events: EventRecorder;
  let status: PolicyStatus;
  let writes: Record<string, number>;

  const lead = (): void => {
    writes = {};
    status = new PolicyStatus({
      client,
      objects: store,
      store,
      population: distribution,
      rootNamespace: ROOT,
      trustDomain: TRUST_DOMAIN,
      term: { isCurrent: true },
      events: events.record,
      onWrite: (outcome) => (writes[outcome] = (writes[outcome] ?? 0) + 1),
      clock: realClock,
      random: Math.random,
      logger,
    });
  };
  before('a leader', async () => {
    await applyCrds(cluster());
    const config = { kubeconfig: cluster().plane.adminKubeconfig };
    client = await createKubernetesClient({ config, clock: realClock });
    const common = { clock: realClock, random: Math.random, logger };
    const validators = policyValidators({ rootNamespace: ROOT, strayRoot: 'warning' });
    store = new ClusterStore({ client, rootNamespace: ROOT, validators, ...common });
    await store.synced;
    distribution = new Distribution({
      store,
      bundle: { trustDomain: TRUST_DOMAIN, roots: [Buffer.from('root')] },
      rootNamespace: ROOT,
      clusterId: 'Kubernetes',
      fetchKeySet: () => Promise.reject(new Error('no keys are fetched here')),
      metrics: createDistributionMetrics(createMetrics({ processMetrics: false }), () => 0),
      ...common,
    });
    events = new EventRecorder({ client, instance: 'sealwright-ca-0', randomBytes, ...common });
    lead();
  });
  after('the leader', async () => {
    await status?.close();
    await events?.close();
    distribution?.close();
    store?.close();
    client?.close();
  });

  const policy = (namespace: string, name: string, spec: object): object => {
    return { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { namespace, name }, spec };
  };
  const workload = (namespace: string, name: string): object => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { namespace, name, labels: { app: 'web' } },
    spec: { address: '10.0.0.1', serviceAccount: 'web', ports: { http: 8080 } },
  });
  const ALLOW = { selector: { matchLabels: { app: 'web' } }, rules: [{ to: [{ operation: { ports: ['8080'] } }] }] };
  const kubectl = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster().kubectl(args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const condition = async (namespace: string, name: string, type: string, kind = 'ap'): Promise<string> => {
    const path = `{.status.conditions[?(@.type=="${type}")]}`;
    return kubectl('get', kind, name, '-n', namespace, '-o', `jsonpath=${path}`);
  };

  it('is what kubectl waits for and shows: accepted, for whom, and who has it', async () => {
    const namespace = await cluster().namespace('shop');
    await cluster().apply([workload(namespace, 'web-1'), policy(namespace, 'web', ALLOW)]);
    await kubectl('wait', '--for=condition=Accepted', '--timeout=20s', 'ap/web', '-n', namespace);
    assert.match(await condition(namespace, 'web', 'Distributed'), /"reason":"NoSidecar"/);
    const sidecar = new JoinedSidecar(distribution, CONTROL_TYPES.authorizationPolicy, {
      workload: `${namespace}/web-1`,
      account: `${namespace}/web`,
    });
    sidecar.subscribe(CONTROL_TYPES.authorizationPolicy, '*');
    await kubectl('wait', '--for=condition=Distributed', '--timeout=60s', 'ap/web', '-n', namespace);
    const shown = await kubectl('get', 'ap', 'web', '-n', namespace, '-o', 'wide', '--no-headers');
    assert.match(shown, /^web\s+True\s+Accepted\s+\S+\s+1 workload selected; the one connected sidecar has it/);
    // Nothing of what the person wrote is ours.
    const { metadata } = await cluster().ask(
      'GET',
      `/apis/security.istio.io/v1/namespaces/${namespace}/authorizationpolicies/web`,
    );
    const { generation, managedFields } = metadata as { generation: number; managedFields: Record<string, unknown>[] };
    assert.equal(generation, 1);
    const own = managedFields.filter(({ manager }) => manager === 'sealwright');
    assert.deepEqual(
      own.map(({ subresource, operation }) => [subresource, operation]),
      [['status', 'Apply']],
    );
  });

  it('says what the API server let through and nobody can take, with an Event, until it is mended', async () => {
    const namespace = await cluster().namespace('bad');
    const bad = { ...ALLOW, rules: [{ to: [{ operation: { ports: ['http'] } }] }] };
    await cluster().apply(policy(namespace, 'web', bad));
    await until(async () => (await condition(namespace, 'web', 'Accepted')) !== '');
    const said = await condition(namespace, 'web', 'Accepted');
    assert.match(said, /"status":"False"/);
    assert.match(said, /spec\.rules\[0\]\.to\[0\]\.operation\.ports\[0\].*not a port.*every call .* is refused/);
    await until(async () => /Warning\s+NotAccepted/.test(await kubectl('describe', 'ap', 'web', '-n', namespace)));
    await cluster().apply(policy(namespace, 'web', ALLOW));
    await kubectl('wait', '--for=condition=Accepted', '--timeout=20s', 'ap/web', '-n', namespace);
    assert.match(await condition(namespace, 'web', 'Accepted'), /"observedGeneration":2/);
    await cluster().apply(policy(namespace, 'web', bad));
    await until(async () =>
      (await condition(namespace, 'web', 'Accepted')).includes('What it said before stays in force'),
    );
  });

  it('is that of the other kinds too, of which nobody counts sidecars', async () => {
    const namespace = await cluster().namespace('other');
    const head = { apiVersion: 'networking.istio.io/v1', metadata: { namespace, name: 'a' } };
    await cluster().apply([
      { ...head, kind: 'DestinationRule', spec: { host: 'web', trafficPolicy: { tls: { mode: 'DISABLE' } } } },
      { ...head, kind: 'Sidecar', spec: { egress: [{ hosts: ['./*', './*'] }] } },
      { ...head, apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', spec: { mtls: { mode: 'STRICT' } } },
      {
        ...head,
        apiVersion: 'security.istio.io/v1',
        kind: 'RequestAuthentication',
        spec: { jwtRules: [{ issuer: 'https://a.example' }] },
      },
    ]);
    for (const kind of ['dr', 'sidecar', 'pa', 'ra'])
      await kubectl('wait', '--for=condition=Accepted', '--timeout=20s', `${kind}/a`, '-n', namespace);
    assert.match(await condition(namespace, 'a', 'Accepted', 'dr'), /plaintext.*AcceptedWithWarnings/);
    assert.equal(await condition(namespace, 'a', 'Distributed', 'dr'), '');
    assert.match(await condition(namespace, 'a', 'Distributed', 'pa'), /NoWorkload/);
    const messages = await kubectl('get', 'dr', 'a', '-n', namespace, '-o', 'jsonpath={.status.validationMessages}');
    assert.match(
      messages,
      /"level":"WARNING","type":\{"code":"spec\.trafficPolicy\.tls\.mode","name":"tls_disabled"\}/,
    );
  });

  it('leaves what other controllers say where it is, and is not taken away by it', async () => {
    const namespace = await cluster().namespace('shared');
    const conditions = [{ type: 'Reconciled', status: 'True' }];
    const theirs = { ...policy(namespace, 'web', {}), spec: undefined, status: { conditions, observedGeneration: 7 } };
    const args = ['apply', '--server-side', '--subresource=status', '--field-manager=istiod', '-f', '-'];
    await status.close();
    await cluster().apply(policy(namespace, 'web', ALLOW));
    assert.equal((await cluster().kubectl(args, JSON.stringify(theirs))).code, 0);
    lead();
    await kubectl('wait', '--for=condition=Accepted', '--timeout=20s', 'ap/web', '-n', namespace);
    assert.match(await condition(namespace, 'web', 'Reconciled'), /True/);
    const generation = await kubectl(
      'get',
      'ap',
      'web',
      '-n',
      namespace,
      '-o',
      'jsonpath={.status.observedGeneration}',
    );
    assert.equal(generation, '7', 'a field of theirs');
    assert.equal(writes['conflict'], 1);
    await kubectl('delete', 'ap', 'web', '-n', namespace);
  });

  it('is written once for each of many, by the first leader alone', async () => {
    const namespace = await cluster().namespace('many');
    const many = Array.from({ length: 300 }, (_, i) => policy(namespace, `p${i}`, ALLOW));
    await cluster().apply(many);
    const accepted = async (): Promise<number> => {
      const path = '{range .items[*]}{.status.conditions[?(@.type=="Accepted")].status}{end}';
      return (await kubectl('get', 'ap', '-n', namespace, '-o', `jsonpath=${path}`)).split('True').length - 1;
    };
    await until(async () => (await accepted()) === 300, 60_000);
    await until(() => status.waiting === 0, 60_000);
    const before = writes['written'] ?? 0;
    // What is written comes back by the watch: nothing must come of that.
    await until(() => status.waiting === 0);
    await status.close();
    lead();
    const marker = await cluster().namespace('marker');
    await cluster().apply(policy(marker, 'last', ALLOW));
    await kubectl('wait', '--for=condition=Accepted', '--timeout=20s', 'ap/last', '-n', marker);
    assert.ok(before >= 300);
    assert.equal(writes['written'], 1, JSON.stringify(writes));
  });
});
