import { strict as assert } from 'node:assert';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { SidecarAgent, type SidecarAgentOptions } from '../../../proxy/agent/sidecar-agent.ts';
import { SealwrightError } from '../../../src/core/errors.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { ApplicationProtocol } from '../../../src/wire/message-type.ts';
import { bearerToken } from '../../../src/wire/server-call.ts';
import type { XdsResource } from '../../../src/wire/xds-message.ts';
import type { ResourceSource, XdsServerSession } from '../../../src/wire/xds-server-session.ts';
import { createDiscovery, type SubscriberNode } from '../../../src/wire/xds-service.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { eventually } from '../../fakes/eventually.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { pushedDocument, pushedRoots, pushedService, pushedWorkload } from '../../fakes/pushed-resources.ts';
import { startHarness, type Harness } from '../../wire/grpc-harness.ts';
import { realClock } from '../../fakes/real-clock.ts';

const { address, authorizationPolicy, secret } = CONTROL_TYPES;
const POLICY = { kind: 'AuthorizationPolicy', name: 'deny' };
const rulesFor = (method: string) => ({ action: 'DENY', rules: [{ to: [{ operation: { methods: [method] } }] }] });

describe('the control stream of a sidecar, with a server that checks nothing', () => {
  let harness: Harness;
  let resources: Map<string, Map<string, XdsResource>>;
  let refusals: { typeUrl: string; refusal: string; culprit: string | undefined }[];
  let nodes: { node: SubscriberNode; token: string | undefined }[];
  let refuseAll: boolean;
  let folder: string;
  let logger: RecordingLogger;
  const sessions = new Set<Pick<XdsServerSession, 'changed'>>();
  const agents: SidecarAgent[] = [];

  const source: ResourceSource = {
    view: (typeUrl) => {
      const all = new Map(resources.get(typeUrl));
      const find = (name: string): XdsResource[] =>
        [...all.values()].filter((each) => each.name === name || each.aliases.includes(name));
      return { version: 'v', find, names: () => all.keys() };
    },
  };
  const set = (typeUrl: string, ...pushed: XdsResource[]): void => {
    const ofType = resources.get(typeUrl) ?? new Map<string, XdsResource>();
    for (const each of pushed) ofType.set(each.name, each);
    resources.set(typeUrl, ofType);
    for (const session of sessions) {
      session.changed(
        typeUrl,
        pushed.map(({ name }) => name),
      );
    }
  };
  const discovery = () =>
    createDiscovery({
      subscribe: async (node, call) => {
        nodes.push({ node, token: bearerToken(call) });
        if (refuseAll) throw new SealwrightError('identity_foreign');
        let own: Pick<XdsServerSession, 'changed'>;
        return {
          source,
          onRefused: (typeUrl, refusal, culprit) => refusals.push({ typeUrl, refusal, culprit }),
          opened: (session) => sessions.add((own = session)),
          closed: () => sessions.delete(own),
        };
      },
    });

  beforeEach(async function () {
    [resources, refusals, nodes, refuseAll, logger] = [new Map(), [], [], false, new RecordingLogger()];
    sessions.clear();
    harness = await startHarness({ services: [discovery()] });
    folder = join(temporaryFolder(this), 'catalog');
    mkdirSync(folder);
    writeFileSync(join(folder, 'token'), 'a.b.c\n');
    writeFileSync(join(folder, 'root.pem'), harness.authority.root);
    const ports = [{ port: 8080, name: 'http', protocol: ApplicationProtocol.HTTP1 }];
    set(address, pushedWorkload({ name: 'catalog', addresses: ['127.0.1.2'], ports }));
    set(secret, pushedRoots(harness.authority.root));
    set(authorizationPolicy, pushedDocument({ ...POLICY, spec: rulesFor('DELETE') }));
  });
  afterEach(async () => {
    for (const agent of agents.splice(0)) await agent.close();
    await harness.close();
  });

  const open = async (change: Partial<SidecarAgentOptions> = {}): Promise<SidecarAgent> => {
    const agent = await SidecarAgent.open({
      workload: { kind: 'WorkloadEntry', namespace: 'shop', name: 'catalog' },
      trustDomain: parseTrustDomain('cluster.local'),
      rootNamespace: 'sealwright-system',
      clusterId: 'Kubernetes',
      ca: { address: harness.listener.address, rootFile: join(folder, 'root.pem') },
      tokenFile: join(folder, 'token'),
      folder,
      keyInMemory: false,
      certificateLifetime: 86_400_000,
      clock: realClock,
      random: () => 0.5,
      logger,
      retry: { initial: 20, max: 50 },
      resolveWait: 500,
      ...change,
    });
    agents.push(agent);
    return agent;
  };
  const ready = (agent: SidecarAgent): Promise<void> => eventually(() => agent.status.configuration === 'stream');
  const methods = (agent: SidecarAgent): unknown =>
    agent.current()?.policies.http.applied.map(({ policy }) => policy.rules[0]?.to[0]?.[0]?.values);

  it('says who it is and shows its token', async () => {
    await ready(await open());
    const [first] = nodes;
    assert.equal(first?.node.id, 'sidecar~0.0.0.0~catalog.shop~shop.svc.cluster.local');
    assert.equal(first.token, 'a.b.c');
    assert.deepEqual(first.node.metadata, { WORKLOAD_KIND: 'WorkloadEntry' });
  });

  it('subscribes as its pod in a cluster, of which a WorkloadEntry may have the name', async () => {
    set(address, pushedWorkload({ kind: 'Pod', name: 'catalog', addresses: ['127.0.1.3'] }));
    const agent = await open({ workload: { kind: 'Pod', namespace: 'shop', name: 'catalog' } });
    await ready(agent);
    assert.deepEqual(agent.current()?.workload.addresses, ['127.0.1.3']);
    assert.deepEqual(nodes[0]?.node.metadata, { WORKLOAD_KIND: 'Pod' });
  });

  it('refuses a bad policy by name, keeps the last good one, and takes its mended form (invariant 5)', async () => {
    const agent = await open();
    await ready(agent);
    assert.deepEqual(methods(agent), [['DELETE']]);
    const before = agent.current();
    set(authorizationPolicy, pushedDocument({ ...POLICY, spec: { action: 'PERMIT' } }));
    await eventually(() => refusals.some(({ culprit }) => culprit === 'shop/deny'));
    assert.match(refusals.at(-1)?.refusal ?? '', /PERMIT/);
    assert.equal(agent.current(), before);
    const status = agent.status.types.find(({ typeUrl }) => typeUrl === authorizationPolicy);
    assert.match(status?.refusal ?? '', /PERMIT/);

    set(authorizationPolicy, pushedDocument({ ...POLICY, spec: rulesFor('PUT') }));
    await eventually(() => agent.current() !== before);
    assert.deepEqual(methods(agent), [['PUT']]);
    assert.ok(agent.status.types.every(({ refusal }) => refusal === undefined));
  });

  it('takes the good ones that came with a bad one', async () => {
    const agent = await open();
    await ready(agent);
    const more = ['a', 'b', 'c'].map((name) => pushedDocument({ ...POLICY, name, spec: rulesFor('GET') }));
    set(authorizationPolicy, ...more, pushedDocument({ ...POLICY, name: 'bad', spec: { action: 'PERMIT' } }));
    await eventually(() => agent.current()?.policies.http.applied.length === 4);
    await eventually(() => refusals.some(({ culprit }) => culprit !== undefined));
    const culprits = refusals.map(({ culprit }) => culprit).filter((each) => each !== undefined);
    assert.deepEqual(culprits, ['shop/bad']);
  });

  it('waits with its calls for what a silent server does not say, and never takes silence for "outside"', async () => {
    const agent = await open();
    await ready(agent);
    set(address, pushedService({ hostname: 'prices.shop.internal' }));
    assert.equal((await agent.book.resolve({ host: 'prices.shop.internal' })).kind, 'service');
    await harness.server.stop(0);
    assert.equal((await agent.book.resolve({ host: 'www.example.org' })).kind, 'unknown');
    assert.equal((await agent.book.resolve({ host: 'prices.shop.internal' })).kind, 'service');
  });

  it('is tried again for ever where it is refused, with the token of that moment', async () => {
    refuseAll = true;
    const agent = await open();
    await eventually(() => nodes.length >= 3);
    assert.equal(agent.current(), undefined);
    writeFileSync(join(folder, 'token'), 'd.e.f\n');
    await eventually(() => nodes.at(-1)?.token === 'd.e.f');
    refuseAll = false;
    await ready(agent);
    for (const token of ['a.b.c', 'd.e.f']) assert.ok(!logger.text.includes(token));
  });

  it('is not tried without a pause', async () => {
    refuseAll = true;
    const clock = new FakeClock(Date.now());
    await open({ clock });
    await eventually(() => logger.text.includes('the control stream could not be opened'));
    assert.equal(nodes.length, 1);
    clock.advance(50);
    await eventually(() => nodes.length === 2);
  });

  describe('where somebody takes connections and says nothing', () => {
    let silent: Server;
    beforeEach(async () => {
      silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    });
    afterEach(() => silent.close());

    it('is given up after a while and tried again', async () => {
      const clock = new FakeClock(Date.now());
      const { port } = silent.address() as AddressInfo;
      const agent = await open({ clock, ca: { address: `127.0.0.1:${port}`, rootFile: join(folder, 'root.pem') } });
      // The identity's connection is taken as well, and may be the first: only the clock says when the stream waits.
      await eventually(() => clock.waits(15_000));
      clock.advance(14_999);
      assert.equal(agent.status.problem, undefined);
      clock.advance(1);
      await eventually(() => /said nothing/.test(agent.status.problem ?? ''));
    });
  });
});
