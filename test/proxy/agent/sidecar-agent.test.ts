import { strict as assert } from 'node:assert';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SidecarAgent, type SidecarAgentOptions } from '../../../proxy/agent/sidecar-agent.ts';
import type { SidecarConfig } from '../../../proxy/agent/sidecar-config.ts';
import { parseTrustDomain } from '../../../src/identity/trust-domain.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { eventually } from '../../fakes/eventually.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import { RunningCa } from '../../fakes/running-ca.ts';
import { realClock } from '../../fakes/real-clock.ts';

const workload = (name: string, ip: string, account = name): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec: { address: ${ip}, ports: { http: 8080 }, serviceAccount: ${account} }
`;
const service = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: prices, namespace: shop }
spec:
  hosts: [prices.shop.internal]
  ports: [{ name: http, number: 80, protocol: HTTP, targetPort: 8080 }]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: { labels: { app: prices } }
`;
const policy = (name: string, method: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: shop }
spec: { action: DENY, rules: [{ to: [{ operation: { methods: [${method}] } }] }] }
`;

describe('the agent of a sidecar, with a real CA', function () {
  this.timeout(30_000);
  let caFolder: string;
  let ca: RunningCa;
  let port: number;
  let folder: string;
  let logger: RecordingLogger;
  const agents: SidecarAgent[] = [];

  const write = (name: string, text: string): void => writeFileSync(join(caFolder, 'resources', `${name}.yaml`), text);
  const remove = (name: string): void => rmSync(join(caFolder, 'resources', `${name}.yaml`), { force: true });
  const restartCa = async (): Promise<void> => {
    ca = await RunningCa.start(caFolder, ['--ca-listen', `127.0.0.1:${port}`]);
  };

  beforeEach(async function () {
    caFolder = temporaryFolder(this);
    mkdirSync(join(caFolder, 'resources'));
    write('catalog', workload('catalog', '127.0.1.2'));
    write('prices', workload('prices', '127.0.1.3'));
    write('service', service);
    write('policy', policy('no-delete', 'DELETE'));
    ca = await RunningCa.start(caFolder);
    port = ca.port;
    folder = join(temporaryFolder(this), 'catalog');
    mkdirSync(folder);
    writeFileSync(join(folder, 'token'), await ca.token('shop', 'catalog'));
    logger = new RecordingLogger();
  });
  afterEach(async () => {
    for (const agent of agents.splice(0)) await agent.close();
    await ca.stop('SIGKILL');
  });

  const open = async (change: Partial<SidecarAgentOptions> = {}): Promise<SidecarAgent> => {
    const agent = await SidecarAgent.open({
      workload: { kind: 'WorkloadEntry', namespace: 'shop', name: 'catalog' },
      trustDomain: parseTrustDomain('cluster.local'),
      rootNamespace: 'sealwright-system',
      clusterId: 'Kubernetes',
      ca: { address: `localhost:${port}`, rootFile: join(caFolder, 'ca/root-cert.pem') },
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
  const close = async (agent: SidecarAgent): Promise<void> => {
    agents.splice(agents.indexOf(agent), 1);
    await agent.close();
  };
  const config = (agent: SidecarAgent): SidecarConfig => agent.current() ?? assert.fail('there is no configuration');
  const ready = (agent: SidecarAgent): Promise<void> =>
    eventually(() => agent.status.configuration === 'stream' && agent.identity.usable && agent.status.connected);
  const policies = (agent: SidecarAgent): string[] =>
    config(agent).policies.http.applied.map((each) => each.policy.name);

  it('obtains identity and configuration, and keeps both for its owner alone', async () => {
    const agent = await open();
    await ready(agent);
    assert.equal(agent.status.identity?.identity.toString(), 'spiffe://cluster.local/ns/shop/sa/catalog');
    assert.equal(config(agent).workload.identity.toString(), 'spiffe://cluster.local/ns/shop/sa/catalog');
    assert.deepEqual(config(agent).workload.labels, { app: 'catalog' });
    assert.deepEqual(
      config(agent).inbound.map(({ address, port: at }) => `${address}:${at}`),
      ['127.0.1.2:8080'],
    );
    assert.deepEqual(policies(agent), ['no-delete']);
    assert.equal(config(agent).bundleOf(parseTrustDomain('cluster.local'))?.roots.length, 1);
    assert.equal(agent.status.problem, undefined);
    await close(agent);
    for (const name of ['identity.pem', 'root-cert.pem', 'last-good.json']) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
    const token = readFileSync(join(folder, 'token'), 'utf8');
    assert.ok(!logger.text.includes(token) && !logger.text.includes('PRIVATE KEY'));
    for (const name of readdirSync(folder).filter((each) => each !== 'token')) {
      assert.ok(!readFileSync(join(folder, name), 'latin1').includes(token), name);
    }
  });

  it('opens no port for a policy that names one: what the application has for itself alone stays its own', async () => {
    const agent = await open();
    await ready(agent);
    write(
      'peers',
      'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: peers, namespace: shop }\n' +
        'spec: { selector: { matchLabels: { app: catalog } }, mtls: { mode: STRICT }, portLevelMtls: { 9999: { mode: DISABLE } } }\n',
    );
    // Workloads and policies are pushed each by itself.
    await eventually(
      () => config(agent).mtlsMode(8080) === 'STRICT' && config(agent).workload.mtlsMode(9999) === 'DISABLE',
    );
    assert.deepEqual(
      config(agent).inbound.map(({ port: at, mode }) => [at, mode]),
      [[8080, 'STRICT']],
    );
  });

  it('follows the mesh: policies that come, change and go', async () => {
    const agent = await open();
    await ready(agent);
    write('more', policy('no-put', 'PUT'));
    await eventually(() => policies(agent).length === 2);
    remove('policy');
    await eventually(() => policies(agent).join() === 'no-put');
  });

  it('acknowledges what it took in once its replica has it too, and not before', async () => {
    const agent = await open();
    await ready(agent);
    let release = (): void => undefined;
    const taken: string[] = [];
    const replicated = agent.replicate({
      hosts: [],
      forgotten: () => undefined,
      taken: (typeUrl, { changed }) => {
        taken.push(...changed.map(({ name }) => name));
        if (typeUrl !== CONTROL_TYPES.authorizationPolicy) return Promise.resolve();
        return new Promise((resolve) => (release = resolve));
      },
    });
    const has = (name: string): boolean =>
      replicated.snapshot().some(([, { changed }]) => changed.some((each) => each.name === name));
    assert.ok(has('shop/no-delete'));
    const count = (): number | undefined =>
      agent.status.types.find(({ typeUrl }) => typeUrl === CONTROL_TYPES.authorizationPolicy)?.resources;
    write('more', policy('no-put', 'PUT'));
    await eventually(() => taken.includes('shop/no-put'));
    // In force here, and told to whoever begins now; but until the other has it, the CA is not told.
    assert.ok(has('shop/no-put'));
    assert.equal(count(), 1);
    write('third', policy('no-patch', 'PATCH'));
    // What is not about policies waits for nothing.
    write('prices', workload('prices', '127.0.1.4'));
    assert.deepEqual(replicated.want({}, ['*/prices.shop.internal']), []);
    await eventually(() => taken.some((name) => name.endsWith('/shop/prices')));
    assert.ok(!taken.includes('shop/no-patch'), 'the CA took it for acknowledged');
    release();
    await eventually(() => taken.includes('shop/no-patch'));
    release();
    await eventually(() => count() === 3);
  });

  it('finds destinations on demand, and follows them', async () => {
    const agent = await open();
    await ready(agent);
    const found = await agent.book.resolve({ host: 'prices.shop.internal' });
    assert.ok(found.kind === 'service');
    const [first] = found.workloads;
    assert.deepEqual(first?.addresses, ['127.0.1.3']);
    assert.equal(first?.sidecar, true);
    assert.equal(first?.services.get('shop/prices.shop.internal')?.get(80), 8080);
    assert.equal((await agent.book.resolve({ host: 'www.example.org' })).kind, 'outside');
    assert.equal((await agent.book.resolve({ host: '127.0.1.3' })).kind, 'workload');
    assert.equal((await agent.book.resolve({ host: '192.0.2.1' })).kind, 'outside');

    write('prices-2', workload('prices-2', '127.0.1.4').replace('app: prices-2', 'app: prices'));
    await eventually(() => {
      const now = agent.book.peek({ host: 'prices.shop.internal' });
      return now?.kind === 'service' && now.workloads.length === 2;
    });
    write('outside', service.replace('name: prices', 'name: out').replace('prices.shop.internal', 'www.example.org'));
    await eventually(() => agent.book.peek({ host: 'www.example.org' })?.kind === 'service');
  });

  it('goes on as it is without the CA, and follows again when it is back (invariant 9)', async () => {
    const agent = await open();
    await ready(agent);
    await agent.book.resolve({ host: 'prices.shop.internal' });
    const before = config(agent);
    await ca.stop('SIGKILL');
    await eventually(() => !agent.status.connected && agent.status.problem !== undefined);
    assert.equal(config(agent), before);
    assert.ok(agent.identity.usable);
    assert.equal(agent.book.peek({ host: 'prices.shop.internal' })?.kind, 'service');
    const unknown = await agent.book.resolve({ host: 'new.example' });
    assert.equal(unknown.kind, 'unknown');
    write('more', policy('no-put', 'PUT'));
    await restartCa();
    await eventually(() => policies(agent).length === 2);
    await eventually(() => agent.book.peek({ host: 'new.example' })?.kind === 'outside');
    assert.equal(agent.status.problem, undefined);
    assert.equal(config(agent).inbound[0], before.inbound[0]);
  });

  it('starts without the CA from the last good state, destinations in use included', async () => {
    const first = await open();
    await ready(first);
    await first.book.resolve({ host: 'prices.shop.internal' });
    await first.book.resolve({ host: 'www.example.org' });
    await close(first);
    await ca.stop();

    const agent = await open();
    assert.equal(agent.status.configuration, 'disk');
    assert.ok(agent.identity.usable);
    assert.deepEqual(policies(agent), ['no-delete']);
    const service = agent.book.peek({ host: 'prices.shop.internal' });
    assert.ok(service?.kind === 'service');
    assert.equal(service.workloads.length, 1);
    assert.equal(agent.book.peek({ host: 'www.example.org' })?.kind, 'outside');

    // What changed meanwhile is caught up with; what did not is not another object.
    const { inbound } = config(agent);
    remove('policy');
    write('prices-2', workload('prices-2', '127.0.1.4').replace('app: prices-2', 'app: prices'));
    await restartCa();
    await ready(agent);
    await eventually(() => policies(agent).length === 0);
    await eventually(() => {
      const now = agent.book.peek({ host: 'prices.shop.internal' });
      return now?.kind === 'service' && now.workloads.length === 2;
    });
    assert.equal(config(agent).inbound[0], inbound[0]);
  });

  for (const [what, spoil] of [
    ['another workload', (text: string) => text.replaceAll('shop/catalog', 'shop/orders')],
    ['another trust domain', (text: string) => text.replace('"trustDomain":"cluster.local"', '"trustDomain":"x.org"')],
    ['a later format', (text: string) => text.replace('"format":1', '"format":2')],
    ['damaged text', (text: string) => text.slice(0, 500)],
    ['a resource that is damaged', (text: string) => text.replace(/"value":"[^"]{40}/, '"value":"AAAA')],
    ['types that are missing', (text: string) => text.replace(CONTROL_TYPES.secret, 'nothing')],
  ] as const) {
    it(`serves nothing by a last good state of ${what}`, async () => {
      const first = await open();
      await ready(first);
      await close(first);
      await ca.stop();
      const file = join(folder, 'last-good.json');
      const text = readFileSync(file, 'utf8');
      assert.notEqual(spoil(text), text);
      writeFileSync(file, spoil(text));
      const agent = await open();
      assert.equal(agent.current(), undefined);
      assert.match(logger.text, /the configuration of the last run cannot be used/);
      await restartCa();
      await ready(agent);
      assert.deepEqual(policies(agent), ['no-delete']);
    });
  }

  it('waits for the CA after a restart where the key is in memory alone, and takes a key off the disk (invariant 2)', async () => {
    await ready(await open());
    await close(agents[0] ?? assert.fail());
    assert.ok(readdirSync(folder).includes('identity.pem'));
    const memory = await open({ keyInMemory: true });
    await ready(memory);
    for (const name of readdirSync(folder)) {
      assert.ok(!readFileSync(join(folder, name), 'latin1').includes('PRIVATE KEY'), name);
    }
    await close(memory);
    await ca.stop();
    const again = await open({ keyInMemory: true });
    assert.equal(again.identity.current(), undefined);
    assert.equal(again.status.configuration, 'disk');
    await restartCa();
    await ready(again);
  });

  it('says why where the workload is not its own, and is let in once it is', async () => {
    const agent = await open({ workload: { kind: 'WorkloadEntry', namespace: 'shop', name: 'late' } });
    await eventually(() => /no WorkloadEntry of this name/.test(agent.status.problem ?? ''));
    write('late', workload('late', '127.0.1.9', 'somebody'));
    await eventually(() => /somebody/.test(agent.status.problem ?? ''));
    assert.equal(agent.current(), undefined);
    assert.ok(agent.identity.usable);
    write('late', workload('late', '127.0.1.9', 'catalog'));
    await ready(agent);
  });

  it('says so where the CA counts itself to another cluster', async () => {
    const agent = await open({ clusterId: 'elsewhere' });
    await eventually(() =>
      agent.status.types.some(({ refusal }) => /its clusterId may be another/.test(refusal ?? '')),
    );
    assert.equal(agent.current(), undefined);
  });

  it('waits for its token and its root, which may come after it', async () => {
    const token = readFileSync(join(folder, 'token'));
    const rootFile = join(folder, 'root.pem');
    rmSync(join(folder, 'token'));
    const agent = await open({ ca: { address: `localhost:${port}`, rootFile } });
    await eventually(() => agent.status.problem !== undefined);
    writeFileSync(rootFile, ca.rootPem);
    await eventually(() => /token/.test(agent.status.problem ?? ''));
    writeFileSync(join(folder, 'token'), token);
    await ready(agent);
  });

  it('keeps its last good state when its WorkloadEntry vanishes', async () => {
    const agent = await open();
    await ready(agent);
    const before = config(agent);
    remove('catalog');
    await eventually(() => agent.status.problem !== undefined || /push was refused/.test(logger.text));
    assert.equal(config(agent).workload, before.workload);
    assert.deepEqual(config(agent).inbound, before.inbound);
  });

  it('never reaches a CA that its root does not vouch for', async () => {
    const { createTestAuthority } = await import('../../wire/certificates.ts');
    const rootFile = join(folder, 'root.pem');
    writeFileSync(rootFile, (await createTestAuthority()).root);
    const agent = await open({ ca: { address: `localhost:${port}`, rootFile } });
    await eventually(() => (agent.identity.problem?.failures ?? 0) > 1 && agent.status.problem !== undefined);
    assert.equal(agent.current(), undefined);
    assert.ok(!JSON.stringify(ca.log).includes('subscriber'));
  });
});
