import { strict as assert } from 'node:assert';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SealwrightError } from '../../../src/core/errors.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import type { Channel } from '../../../src/wire/grpc-client.ts';
import { MutualTls } from '../../../src/wire/message-type.ts';
import { ControlSubscriber } from '../../fakes/control-subscriber.ts';
import { ecKeys } from '../../fakes/certificate-maker.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { createCertificate, RunningCa, sealwright } from '../../fakes/running-ca.ts';

const { address, authorizationPolicy, peerAuthentication, sidecar, configMap, secret } = CONTROL_TYPES;

const CATALOG = 'Kubernetes/networking.istio.io/WorkloadEntry/shop/catalog';
const PRICES = 'Kubernetes/networking.istio.io/WorkloadEntry/shop/prices';

const workload = (name: string, ip: string, more = ''): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec: { address: ${ip}, ports: { http: 8080 }, serviceAccount: ${name}${more} }
`;

const policy = (name: string, namespace: string, selector = '', method = 'GET'): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: {${selector} action: DENY, rules: [{ to: [{ operation: { methods: [${method}] } }] }] }
`;

const service = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: prices, namespace: shop }
spec:
  hosts: [prices.shop.internal]
  ports: [{ name: http, number: 80, protocol: HTTP }]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: { labels: { app: prices } }
`;

describe('the control stream of a running CA', () => {
  let folder: string;
  let ca: RunningCa;
  let channel: Channel;
  let token: string;
  const open: ControlSubscriber[] = [];

  const write = (name: string, text: string): void => writeFileSync(join(folder, 'resources', name), text);
  const subscriber = (more: Partial<ConstructorParameters<typeof ControlSubscriber>[0]> = {}): ControlSubscriber => {
    const made = new ControlSubscriber({ channel, workload: 'shop/catalog', token, ...more });
    open.push(made);
    return made;
  };
  const refusedWith = async (made: ControlSubscriber): Promise<SealwrightError['fields']> => {
    const error = await made.ended;
    assert.ok(error instanceof SealwrightError, String(error));
    return error.fields;
  };

  beforeEach(async function () {
    folder = temporaryFolder(this);
    mkdirSync(join(folder, 'resources'));
    write('workloads.yaml', [workload('catalog', '127.0.1.1'), workload('prices', '127.0.1.2')].join('---'));
    write('service.yaml', service);
    ca = await RunningCa.start(folder);
    channel = ca.channel();
    token = await ca.token('shop', 'catalog');
  });
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
    channel.close();
    assert.equal(await ca.stop(), 0);
  });

  it('gives a sidecar its workload, its policies, its Sidecar, the mesh settings and the bundle, and pushes an edit', async () => {
    write('policies.yaml', [policy('own', 'shop'), policy('mesh', 'sealwright-system')].join('---'));
    const own = subscriber();
    own.subscribe(address, CATALOG);
    for (const typeUrl of [authorizationPolicy, peerAuthentication, sidecar, configMap]) own.subscribe(typeUrl, '*');
    own.subscribe(secret, 'ROOTCA');
    await own.synced(address, authorizationPolicy, peerAuthentication, sidecar, configMap, secret);
    await own.until(() => own.names(authorizationPolicy).length === 2);
    const { workload: told, facts } = own.workload(CATALOG);
    assert.deepEqual([told.name, told.namespace, told.serviceAccount], ['catalog', 'shop', 'catalog']);
    assert.deepEqual([...(told.addresses[0] ?? [])], [127, 0, 1, 1]);
    assert.deepEqual({ ...facts.labels }, { app: 'catalog' });
    assert.equal(facts.sidecar, true);
    assert.equal(facts.mutualTls, MutualTls.PERMISSIVE);
    assert.match(Buffer.from(own.held.get(secret)?.get('ROOTCA')?.body.value ?? '').toString(), /BEGIN CERTIFICATE/);

    write('policies.yaml', policy('own', 'shop', '', 'POST'));
    await own.until(() => own.removed.get(authorizationPolicy)?.has('sealwright-system/mesh') === true);
    assert.deepEqual(own.names(authorizationPolicy), ['shop/own']);
    assert.match(JSON.stringify(own.document(authorizationPolicy, 'shop/own')), /"methods":\["POST"\]/);

    write(
      'strict.yaml',
      `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
`,
    );
    await own.until(() => own.workload(CATALOG).facts.mutualTls === MutualTls.STRICT);
    await own.until(() => own.names(peerAuthentication).includes('shop/default'));
  });

  it('keeps a policy in force while its file holds an error (invariant 5)', async () => {
    write('deny.yaml', policy('own', 'shop'));
    const own = subscriber();
    own.subscribe(authorizationPolicy, '*');
    await own.until(() => own.names(authorizationPolicy).length === 1);
    write('deny.yaml', policy('own', 'shop').replace('methods', 'method'));
    await ca.logged('resource refused; what was in force stays');
    write('other.yaml', policy('other', 'shop'));
    await own.until(() => own.names(authorizationPolicy).includes('shop/other'));
    assert.match(JSON.stringify(own.document(authorizationPolicy, 'shop/own')), /"methods":\["GET"\]/);
  });

  it('resolves services and addresses on demand, with the workloads behind them, and says what there is not', async () => {
    const own = subscriber();
    own.subscribe(address, 'shop/prices.shop.internal', '/127.0.1.1', 'shop/nothing.example', '/10.0.0.9');
    await own.synced(address);
    await own.until(() => own.names(address).length === 3);
    assert.deepEqual(own.names(address), [CATALOG, PRICES, 'shop/prices.shop.internal']);
    assert.deepEqual([...(own.removed.get(address) ?? [])].sort(), ['/10.0.0.9', 'shop/nothing.example']);
    const { workload: prices, facts } = own.workload(PRICES);
    const [port] = prices.services['shop/prices.shop.internal']?.ports ?? [];
    assert.deepEqual([port?.servicePort, port?.targetPort], [80, 8080]);
    assert.deepEqual(
      facts.ports.map(({ port: number, name }) => [number, name]),
      [[8080, 'http']],
    );
    assert.deepEqual(
      own.service('shop/prices.shop.internal').ports.map(({ servicePort }) => servicePort),
      [80],
    );

    // A second workload of the service comes without being asked for, and one that was asked for in vain comes to be.
    write('more.yaml', [workload('prices-2', '10.0.0.9').replace('app: prices-2', 'app: prices')].join('---'));
    const second = 'Kubernetes/networking.istio.io/WorkloadEntry/shop/prices-2';
    await own.until(() => own.names(address).includes(second));
    assert.equal(own.removed.get(address)?.has('/10.0.0.9'), false);
    rmSync(join(folder, 'resources/more.yaml'));
    await own.until(() => own.removed.get(address)?.has(second) === true);
  });

  it('tells no sidecar of a policy that is not for it', async () => {
    write(
      'policies.yaml',
      [
        policy('prices-only', 'shop', ' selector: { matchLabels: { app: prices } },'),
        policy('elsewhere', 'warehouse'),
        policy('mesh-catalog', 'sealwright-system', ' selector: { matchLabels: { app: catalog } },'),
      ].join('---'),
    );
    const own = subscriber();
    own.subscribe(authorizationPolicy, '*');
    await own.until(() => own.names(authorizationPolicy).length > 0);
    own.subscribe(authorizationPolicy, 'warehouse/elsewhere', 'shop/prices-only');
    await own.until(() => own.removed.get(authorizationPolicy)?.size === 2);
    assert.deepEqual(own.names(authorizationPolicy), ['sealwright-system/mesh-catalog']);
    // Its labels come from the store: with others, other policies are for it.
    write('workloads.yaml', workload('catalog', '127.0.1.1').replace('app: catalog', 'app: prices'));
    await own.until(() => own.names(authorizationPolicy).join() === 'shop/prices-only');
  });

  it("refuses a workload that is not the caller's, one that does not exist, and a caller without proof", async () => {
    const foreign = subscriber({ workload: 'shop/prices' });
    foreign.subscribe(authorizationPolicy, '*');
    const refused = await refusedWith(foreign);
    assert.equal(refused['status'], 'PERMISSION_DENIED');
    assert.match(String(refused['message']), /service account shop\/prices/);

    const nobody = subscriber({ workload: 'shop/ghost' });
    nobody.subscribe(authorizationPolicy, '*');
    assert.match(String((await refusedWith(nobody))['message']), /no WorkloadEntry/);

    const unproven = new ControlSubscriber({ channel, workload: 'shop/catalog' });
    unproven.subscribe(authorizationPolicy, '*');
    assert.equal((await refusedWith(unproven))['status'], 'UNAUTHENTICATED');

    const unnamed = subscriber({ nodeId: 'catalog' });
    unnamed.subscribe(authorizationPolicy, '*');
    assert.equal((await refusedWith(unnamed))['status'], 'INVALID_ARGUMENT');
    for (const each of [foreign, nobody, unproven, unnamed]) assert.deepEqual(each.names(authorizationPolicy), []);
  });

  it("ends the stream of a workload that is the caller's no longer, and takes nothing from it", async () => {
    write('deny.yaml', policy('own', 'shop'));
    const own = subscriber();
    own.subscribe(authorizationPolicy, '*');
    await own.until(() => own.names(authorizationPolicy).length === 1);
    write(
      'workloads.yaml',
      workload('catalog', '127.0.1.1').replace('serviceAccount: catalog', 'serviceAccount: other'),
    );
    assert.equal((await refusedWith(own))['status'], 'PERMISSION_DENIED');
    assert.deepEqual(own.names(authorizationPolicy), ['shop/own']);
  });

  it('lets a sidecar subscribe by its certificate alone', async () => {
    const keys = ecKeys();
    const { certChain } = await createCertificate(channel, { csr: makeCsrPem({ keys }), token });
    const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const own = ca.channel({ certificateChain: certChain[0] ?? '', privateKey });
    const made = new ControlSubscriber({ channel: own, workload: 'shop/catalog' });
    made.subscribe(address, CATALOG);
    await made.until(() => made.names(address).length === 1);
    await made.close();
    own.close();
  });
});

describe('a CA whose folder of resources holds an error', () => {
  it('does not start, since it could have lost a DENY, and names every finding with its line (invariant 5)', async function () {
    const folder = temporaryFolder(this);
    mkdirSync(join(folder, 'resources'));
    writeFileSync(join(folder, 'resources/deny.yaml'), policy('own', 'shop').replace('methods', 'method'));
    writeFileSync(join(folder, 'resources/broken.yaml'), 'kind: [');
    writeFileSync(join(folder, 'resources/good.yaml'), policy('good', 'shop'));
    const { code, stderr } = await sealwright(folder, [
      'ca',
      '--ca-listen',
      '127.0.0.1:0',
      '--ca-metrics-listen',
      '127.0.0.1:0',
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /deny\.yaml:5:\d+: error: .*did you mean methods\?/);
    assert.match(stderr, /broken\.yaml:\d+:\d+: error/);
    assert.match(stderr, /the resources hold errors/);
    assert.doesNotMatch(stderr, /the CA is ready/);
    writeFileSync(join(folder, 'resources/deny.yaml'), policy('own', 'shop'));
    writeFileSync(join(folder, 'resources/broken.yaml'), '# nothing\n');
    const ca = await RunningCa.start(folder);
    assert.equal(await ca.stop(), 0);
  });

  it('warns of a policy in istio-system while the root namespace is another', async function () {
    const folder = temporaryFolder(this);
    mkdirSync(join(folder, 'resources'));
    writeFileSync(join(folder, 'resources/deny.yaml'), policy('all', 'istio-system'));
    const ca = await RunningCa.start(folder);
    const warned = (each: RunningCa): boolean =>
      each.log.some((record) => record['code'] === 'policy_stray_root_namespace' && record['level'] === 'warn');
    assert.ok(warned(ca), JSON.stringify(ca.log));
    assert.equal(await ca.stop(), 0);
    const migrated = await RunningCa.start(folder, ['--root-namespace', 'istio-system']);
    assert.ok(!warned(migrated));
    assert.equal(await migrated.stop(), 0);
  });

  it('makes the folder where it is missing', async function () {
    const folder = temporaryFolder(this);
    const ca = await RunningCa.start(folder, ['--resources', 'made/here']);
    writeFileSync(join(folder, 'made/here/deny.yaml'), policy('own', 'shop'));
    await ca.logged('resources changed');
    assert.equal(await ca.stop(), 0);
  });
});
