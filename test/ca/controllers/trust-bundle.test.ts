import { strict as assert } from 'node:assert';
import { BundleWriter } from '../../../ca/controllers/bundle-writer.ts';
import type { ClusterEvent } from '../../../ca/controllers/cluster-event.ts';
import { TrustBundleController } from '../../../ca/controllers/trust-bundle-controller.ts';
import { createTrustBundleMetrics, NAMESPACE_STATES } from '../../../ca/controllers/trust-bundle-metrics.ts';
import { CONFIG_MAPS, OWN_NAME, SHARED_NAME } from '../../../ca/roots/published-bundle.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import type { KubernetesClient } from '../../../src/kubernetes/api-client.ts';
import type { ApiResource } from '../../../src/kubernetes/api-resource.ts';
import type { LeaderTerm } from '../../../src/kubernetes/leader-term.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { encodeCertificates } from '../../../src/pki/certificate-pem.ts';
import { makeCertificate } from '../../fakes/certificates.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { MemoryApi } from '../../fakes/memory-api.ts';
import { memoryFollow } from '../../fakes/memory-follow.ts';

const NAMESPACES: ApiResource = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the trust bundle in each namespace', () => {
  let api: MemoryApi;
  let clock: FakeClock;
  let logger: RecordingLogger;
  let events: ClusterEvent[];
  let leads: boolean;
  let controllers: TrustBundleController[];
  let rendered: () => Promise<string>;
  let ours: Buffer;
  let stranger: Buffer;
  before(async () => {
    ours = (await makeCertificate({ subject: 'O=cluster.local' })).certificate;
    stranger = (await makeCertificate({ subject: 'O=istio' })).certificate;
  });
  beforeEach(() => {
    api = new MemoryApi();
    clock = new FakeClock();
    logger = new RecordingLogger();
    events = [];
    leads = true;
    controllers = [];
  });
  afterEach(async () => {
    for (const controller of controllers) await controller.close();
  });

  const pemOf = (...roots: readonly Buffer[]): string => encodeCertificates(roots);
  const start = async (
    change: { takeOver?: boolean; roots?: readonly Buffer[]; client?: Partial<KubernetesClient> } = {},
  ): Promise<TrustBundleController> => {
    const { takeOver = false, roots = [ours], client = {} } = change;
    api.asked.length = 0;
    const registry = createMetrics({ processMetrics: false });
    const metrics = createTrustBundleMetrics(registry, (state) => (leads ? controller.countOf(state) : undefined));
    rendered = async () => (await registry.render()).body;
    const pem = pemOf(...roots);
    const term: LeaderTerm = {
      get isCurrent() {
        return leads;
      },
      signal: new AbortController().signal,
    };
    const common = { metrics, clock, logger };
    const controller: TrustBundleController = new TrustBundleController({
      ...common,
      client: { ...api.client(), ...client },
      follow: memoryFollow(api),
      writer: new BundleWriter({
        ...common,
        ours: { pem, roots },
        takeOver,
        term,
        events: (event) => events.push(event),
      }),
      pem,
      random: () => 0.5,
    });
    controllers.push(controller);
    await settle();
    return controller;
  };
  /** Lets everything happen that needs no more than this much time, in milliseconds. */
  const settle = async (time = 100, step = 5): Promise<void> => {
    for (let passed = 0; passed < time; passed += step) {
      await turn();
      clock.advance(step);
    }
    await turn();
  };
  const namespace = (name: string): void => void api.create(NAMESPACES, { metadata: { name } });
  const textOf = (of: string, name: string = SHARED_NAME): unknown =>
    (api.get(CONFIG_MAPS, { namespace: of, name })?.body['data'] as Record<string, unknown> | undefined)?.[
      'root-cert.pem'
    ];
  const put = (of: string, text: string | undefined, name: string = SHARED_NAME, labels = {}): void => {
    const data = text === undefined ? {} : { 'root-cert.pem': text };
    api.create(CONFIG_MAPS, { metadata: { name, labels }, data }, { namespace: of });
  };
  const edit = (of: string, patch: Record<string, unknown>, name: string = SHARED_NAME): void =>
    void api.mergePatch(CONFIG_MAPS, patch, { namespace: of, name });
  const writes = (): number => api.asked.filter((one) => /(create|patch|update) configmaps/.test(one)).length;

  it('is published under Istio’s name, with a label that says by whom', async () => {
    namespace('shop');
    namespace('bank');
    const controller = await start();
    for (const each of ['shop', 'bank']) assert.equal(textOf(each), pemOf(ours));
    const labels = api.get(CONFIG_MAPS, { namespace: 'shop', name: SHARED_NAME })?.metadata.labels;
    assert.deepEqual(labels, { 'app.kubernetes.io/managed-by': 'sealwright' });
    assert.equal(textOf('shop', OWN_NAME), undefined);
    assert.equal(controller.countOf('published'), 2);
    assert.equal(writes(), 2);
  });

  it('comes to a new namespace at once', async () => {
    await start();
    namespace('new');
    await settle(20);
    assert.equal(textOf('new'), pemOf(ours));
  });

  it('comes to a new namespace before those that wait from the start', async () => {
    for (let index = 0; index < 1_000; index += 1) namespace(`old-${index}`);
    await start();
    assert.ok(writes() < 100);
    namespace('new');
    await settle(150);
    assert.equal(textOf('new'), pemOf(ours));
    assert.ok(writes() < 200, 'all were written');
    await settle(6_000);
    assert.equal(writes(), 1_001);
  });

  it('is not written twice, and not into a namespace that goes away or is gone', async () => {
    namespace('shop');
    api.create(NAMESPACES, { metadata: { name: 'going', deletionTimestamp: '2026-01-01T00:00:00Z' } });
    namespace('gone');
    const controller = await start();
    api.delete(NAMESPACES, { name: 'gone' });
    api.delete(CONFIG_MAPS, { namespace: 'gone', name: SHARED_NAME });
    await settle(60_000, 500);
    assert.equal(textOf('going'), undefined);
    assert.equal(textOf('gone'), undefined);
    assert.equal(writes(), 2);
    assert.equal(controller.countOf('published'), 1);
  });

  const damages: readonly (readonly [string, () => void])[] = [
    ['deleted', () => api.delete(CONFIG_MAPS, { namespace: 'shop', name: SHARED_NAME })],
    ['emptied', () => edit('shop', { data: null })],
    ['overwritten with nonsense', () => edit('shop', { data: { 'root-cert.pem': 'nonsense' } })],
    ['cut off', () => edit('shop', { data: { 'root-cert.pem': pemOf(ours).slice(0, 200) } })],
    ['robbed of its label', () => edit('shop', { metadata: { labels: null } })],
    ['given our root twice', () => edit('shop', { data: { 'root-cert.pem': pemOf(ours, ours) } })],
  ];
  for (const [how, damage] of damages) {
    it(`is put right when it was ${how}`, async () => {
      namespace('shop');
      await start();
      damage();
      await settle(20);
      assert.equal(textOf('shop'), pemOf(ours));
      const labels = api.get(CONFIG_MAPS, { namespace: 'shop', name: SHARED_NAME })?.metadata.labels;
      assert.equal(labels?.['app.kubernetes.io/managed-by'], 'sealwright');
    });
  }

  it('leaves what else is in the ConfigMap', async () => {
    namespace('shop');
    await start();
    edit('shop', { metadata: { labels: { team: 'x' } }, data: { other: 'kept', 'root-cert.pem': 'nonsense' } });
    await settle(20);
    const { body, metadata } = api.get(CONFIG_MAPS, { namespace: 'shop', name: SHARED_NAME }) ?? assert.fail();
    assert.equal((body['data'] as Record<string, string>)['other'], 'kept');
    assert.equal(metadata.labels['team'], 'x');
  });

  for (const [what, text] of [
    ['another CA’s root', () => pemOf(stranger)],
    ['ours and another CA’s', () => pemOf(ours, stranger)],
    [
      'another CA’s, amid garbage',
      () => `-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n# a\n${pemOf(stranger)}`,
    ],
  ] as const) {
    it(`is never overwritten where it holds ${what}: ours is published beside it, and that is said`, async () => {
      namespace('shop');
      namespace('bank');
      put('shop', text());
      const controller = await start();
      await settle(60_000, 500);
      assert.equal(textOf('shop'), text());
      assert.equal(textOf('shop', OWN_NAME), pemOf(ours));
      assert.equal(textOf('bank', OWN_NAME), undefined);
      assert.deepEqual([controller.countOf('foreign'), controller.countOf('published')], [1, 1]);
      assert.match(await rendered(), /sealwright_trust_bundle_namespaces\{state="foreign"\} 1/);
      assert.match(logger.text, /roots that this CA does not know.*takeOver/);
      assert.equal(events.length, 1);
      assert.equal(events[0]?.reason, 'UnknownRoots');
      assert.equal(writes(), 2);
    });
  }

  it('becomes another’s when another CA writes over it, and ours moves beside it', async () => {
    namespace('shop');
    const controller = await start();
    edit('shop', { data: { 'root-cert.pem': pemOf(stranger) } });
    await settle();
    assert.equal(textOf('shop'), pemOf(stranger));
    assert.equal(textOf('shop', OWN_NAME), pemOf(ours));
    assert.equal(controller.countOf('foreign'), 1);
    // And back, once the other is gone: what somebody may mount by then stays true.
    api.delete(CONFIG_MAPS, { namespace: 'shop', name: SHARED_NAME });
    edit('shop', { data: { 'root-cert.pem': 'nonsense' } }, OWN_NAME);
    await settle();
    assert.equal(textOf('shop'), pemOf(ours));
    assert.equal(textOf('shop', OWN_NAME), pemOf(ours));
    assert.equal(controller.countOf('published'), 1);
  });

  it('does not touch what somebody else keeps under our own name either', async () => {
    namespace('shop');
    put('shop', pemOf(stranger));
    put('shop', pemOf(stranger), OWN_NAME);
    const controller = await start();
    await settle(60_000, 500);
    assert.equal(writes(), 0);
    assert.equal(controller.countOf('failing'), 1);
    assert.equal(textOf('shop', OWN_NAME), pemOf(stranger));
  });

  it('takes over what it was told to take over', async () => {
    namespace('shop');
    put('shop', pemOf(stranger));
    const controller = await start({ takeOver: true });
    assert.equal(textOf('shop'), pemOf(ours));
    assert.equal(controller.countOf('published'), 1);
    assert.match(await rendered(), /writes_total\{why="taken-over"\} 1/);
  });

  it('gives way to a controller that writes the same object on and on, says so, and goes on trying', async () => {
    namespace('shop');
    const rival = api.onEvent(({ object, name }) => {
      if (name !== SHARED_NAME || object === undefined || object.metadata.labels['fight'] === 'rival') return;
      queueMicrotask(() =>
        edit('shop', { metadata: { labels: { fight: 'rival' } }, data: { 'root-cert.pem': 'mine' } }),
      );
    });
    const before = writes();
    // Ours takes the label away, so that the rival sees each write of ours.
    const client = api.client();
    const mergePatch: typeof client.mergePatch = async (resource, patch, at) => {
      const { metadata, ...rest } = patch as { metadata: { labels: object } };
      return client.mergePatch(
        resource,
        { ...rest, metadata: { ...metadata, labels: { ...metadata.labels, fight: null } } },
        at,
      );
    };
    const controller = await start({ client: { mergePatch } });
    await settle(600_000, 1_000);
    const fought = writes() - before;
    assert.ok(fought < 40, `${fought} writes by both in ten minutes`);
    assert.equal(controller.countOf('contested'), 1);
    assert.deepEqual([...new Set(events.map(({ reason }) => reason))], ['TrustBundleContested']);
    assert.equal(events.length, 1);
    rival();
    await settle(900_000, 1_000);
    assert.equal(textOf('shop'), pemOf(ours));
    assert.equal(controller.countOf('published'), 1);
  });

  it('is left alone by who does not lead any more', async () => {
    namespace('shop');
    await start();
    leads = false;
    edit('shop', { data: { 'root-cert.pem': 'nonsense' } });
    namespace('new');
    await settle();
    assert.equal(textOf('shop'), 'nonsense');
    assert.equal(textOf('new'), undefined);
    assert.doesNotMatch(await rendered(), /namespaces\{/);
  });

  it('is written once all is well after an API server that failed, and the failure is told', async () => {
    namespace('shop');
    let failing = true;
    const client = api.client();
    const create: typeof client.create = (...all) =>
      failing
        ? Promise.reject(new SealwrightError('kubernetes_forbidden', { verb: 'create', resource: 'configmaps' }))
        : client.create(...all);
    const controller = await start({ client: { create } });
    await settle(120_000, 1_000);
    assert.equal(controller.countOf('failing'), 1);
    const said = logger.lines.filter(({ level }) => level === 'warn');
    assert.ok(said.length > 3 && said.length < 30, `${said.length} tries in two minutes`);
    assert.match(String(said[0]?.fields['reason']), /configmaps/);
    failing = false;
    await settle(31_000, 1_000);
    assert.equal(textOf('shop'), pemOf(ours));
    assert.equal(controller.countOf('published'), 1);
  });

  it('does not write over what was written since it looked', async () => {
    namespace('shop');
    put('shop', 'nonsense');
    const client = api.client();
    let raced = false;
    const mergePatch: typeof client.mergePatch = async (...all) => {
      if (!raced) edit('shop', { data: { 'root-cert.pem': pemOf(stranger) } });
      raced = true;
      return client.mergePatch(...all);
    };
    const controller = await start({ client: { mergePatch } });
    await settle(10_000);
    assert.ok(raced);
    assert.equal(textOf('shop'), pemOf(stranger));
    assert.equal(controller.countOf('foreign'), 1);
    assert.doesNotMatch(logger.text, /was not written/);
  });

  it('writes nothing before it has seen all', async () => {
    namespace('shop');
    put('shop', pemOf(ours), SHARED_NAME, { 'app.kubernetes.io/managed-by': 'sealwright' });
    await start();
    assert.equal(writes(), 0);
  });

  it('counts its states in the words of its metrics', async () => {
    await start();
    const text = await rendered();
    for (const state of NAMESPACE_STATES) assert.ok(text.includes(`state="${state}"} 0`), state);
  });
});
