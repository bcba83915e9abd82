import { strict as assert } from 'node:assert';
import { BundleWriter } from '../../../ca/controllers/bundle-writer.ts';
import { CLUSTER_BUNDLE, ClusterBundleController } from '../../../ca/controllers/cluster-bundle-controller.ts';
import type { Follow } from '../../../ca/controllers/followed.ts';
import { RootSecretWatch } from '../../../ca/controllers/root-secret-watch.ts';
import { createTrustBundleMetrics } from '../../../ca/controllers/trust-bundle-metrics.ts';
import { fingerprintOf, SECRETS } from '../../../ca/roots/ca-secret.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import type { KubernetesClient } from '../../../src/kubernetes/api-client.ts';
import type { ApiResource } from '../../../src/kubernetes/api-resource.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { encodeCertificates } from '../../../src/pki/certificate-pem.ts';
import { makeCertificate } from '../../fakes/certificates.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { MemoryApi } from '../../fakes/memory-api.ts';
import { memoryFollow } from '../../fakes/memory-follow.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the ClusterTrustBundle', () => {
  let api: MemoryApi;
  let clock: FakeClock;
  let logger: RecordingLogger;
  let served: string[];
  let asked: string[];
  let controller: ClusterBundleController;
  let ours: Buffer;
  let stranger: Buffer;
  before(async () => {
    ours = (await makeCertificate({ subject: 'O=cluster.local' })).certificate;
    stranger = (await makeCertificate({ subject: 'O=other' })).certificate;
  });
  beforeEach(() => {
    api = new MemoryApi();
    clock = new FakeClock();
    logger = new RecordingLogger();
    served = ['v1', 'v1beta1'];
    asked = [];
  });
  afterEach(() => controller.close());

  const kind = (version: string): ApiResource => {
    const [group, plural] = ['certificates.k8s.io', 'clustertrustbundles'];
    return { group, version, kind: 'ClusterTrustBundle', plural, namespaced: false };
  };
  const settle = async (time = 100, step = 10): Promise<void> => {
    for (let passed = 0; passed < time; passed += step) {
      await turn();
      clock.advance(step);
    }
    await turn();
  };
  const start = async (change: Partial<KubernetesClient> = {}, follow: Follow = memoryFollow(api)): Promise<void> => {
    const pem = encodeCertificates([ours]);
    const metrics = createTrustBundleMetrics(createMetrics({ processMetrics: false }), () => undefined);
    const term = { isCurrent: true, signal: new AbortController().signal };
    const common = { metrics, clock, logger };
    const client = api.client();
    const list: KubernetesClient['list'] = async (resource, query) => {
      asked.push(`${resource.version} ${query?.fieldSelector}`);
      if (!served.includes(resource.version)) throw new SealwrightError('kubernetes_not_found', {});
      return client.list(resource, query);
    };
    controller = new ClusterBundleController({
      ...common,
      client: { ...client, list, ...change },
      follow,
      writer: new BundleWriter({
        ...common,
        ours: { pem, roots: [ours] },
        takeOver: false,
        term,
        events: () => undefined,
      }),
      pem,
      random: () => 0.5,
    });
    await settle();
  };
  const specOf = (version: string): unknown => api.get(kind(version), { name: CLUSTER_BUNDLE })?.body['spec'];
  const wanted = (): object => ({ signerName: 'sealwright.io/ca', trustBundle: encodeCertificates([ours]) });

  it('is written by the newest version that the server has, asking for no more than its name', async () => {
    await start();
    assert.deepEqual(specOf('v1'), wanted());
    assert.deepEqual([...new Set(asked)], [`v1 metadata.name=${CLUSTER_BUNDLE}`]);
  });

  it('is written by the older version where there is no newer one', async () => {
    served = ['v1beta1'];
    await start();
    assert.deepEqual(specOf('v1beta1'), wanted());
    assert.equal(specOf('v1'), undefined);
  });

  it('is looked for again now and then where the server does not know it, without a word of warning', async () => {
    served = [];
    await start();
    await settle(9 * 60_000, 10_000);
    assert.equal(asked.length, 2);
    served = ['v1'];
    await settle(60_000, 1_000);
    assert.deepEqual(specOf('v1'), wanted());
    assert.ok(!logger.lines.some(({ level }) => level === 'warn'));
  });

  it('is put right when it is edited or deleted, and left alone where it is another’s', async () => {
    await start();
    api.delete(kind('v1'), { name: CLUSTER_BUNDLE });
    await settle();
    assert.deepEqual(specOf('v1'), wanted());
    api.mergePatch(kind('v1'), { spec: { trustBundle: 'nonsense' } }, { name: CLUSTER_BUNDLE });
    await settle();
    assert.deepEqual(specOf('v1'), wanted());
    const other = { trustBundle: encodeCertificates([stranger]) };
    api.mergePatch(kind('v1'), { spec: other }, { name: CLUSTER_BUNDLE });
    await settle(60_000, 500);
    assert.deepEqual(specOf('v1'), { ...wanted(), ...other });
  });

  it('is tried again ever more seldom where it is forbidden, which is told', async () => {
    let tries = 0;
    const create = (): Promise<never> => {
      tries += 1;
      return Promise.reject(
        new SealwrightError('kubernetes_forbidden', { verb: 'create', resource: 'clustertrustbundles' }),
      );
    };
    await start({ create });
    await settle(600_000, 1_000);
    assert.ok(tries > 5 && tries < 40, `${tries} tries in ten minutes`);
    assert.match(logger.text, /ClusterTrustBundle was not written.*clustertrustbundles/);
  });

  it('is closed at once while its server is away', async () => {
    const never: Follow = () => ({
      items: new Map(),
      synced: new Promise(() => {}),
      subscribe: () => () => true,
      close: () => {},
    });
    await start({}, never);
    await controller.close();
    assert.equal(specOf('v1'), undefined);
  });
});

describe('the watch over the Secret of the CA', () => {
  const SECRET = { namespace: 'sealwright-system', name: 'root' };
  let api: MemoryApi;
  let logger: RecordingLogger;
  let watch: RootSecretWatch;
  beforeEach(async () => {
    api = new MemoryApi();
    logger = new RecordingLogger();
    const body = { metadata: { name: SECRET.name }, data: { 'ca-key.pem': 'c2VjcmV0' } };
    const made = api.create(SECRETS, body, { namespace: SECRET.namespace });
    watch = new RootSecretWatch({
      follow: memoryFollow(api),
      secret: SECRET,
      fingerprint: fingerprintOf(made),
      logger,
    });
    await turn();
  });
  afterEach(() => watch.close());

  it('says nothing as long as it is the same, whatever is written on it', async () => {
    api.mergePatch(SECRETS, { metadata: { annotations: { a: 'b' } } }, SECRET);
    await turn();
    assert.deepEqual([watch.state, logger.lines], ['same', []]);
  });

  it('tells once that it changed, that it is gone, and that it is the same again, and shows nothing of it', async () => {
    for (const value of ['eA==', 'eQ==']) {
      api.mergePatch(SECRETS, { data: { 'ca-key.pem': value } }, SECRET);
      await turn();
      assert.equal(watch.state, 'changed');
    }
    api.delete(SECRETS, SECRET);
    await turn();
    assert.equal(watch.state, 'missing');
    const body = { metadata: { name: SECRET.name }, data: { 'ca-key.pem': 'c2VjcmV0' } };
    api.create(SECRETS, body, { namespace: SECRET.namespace });
    await turn();
    assert.equal(watch.state, 'same');
    assert.deepEqual(
      logger.lines.map(({ level }) => level),
      ['error', 'error', 'info'],
    );
    assert.match(logger.text, /Secret sealwright-system\/root/);
    assert.doesNotMatch(logger.text, /c2VjcmV0|eA==/);
  });
});
