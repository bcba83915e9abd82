import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiResourceOf } from '../../../src/resources/cluster-queries.ts';
import { RESOURCE_KINDS } from '../../../src/resources/kind.ts';
import { CONTROL_TYPES } from '../../../src/wire/control-types.ts';
import { ControlSubscriber } from '../../fakes/control-subscriber.ts';
import { makeCsrPem } from '../../fakes/csr-maker.ts';
import { eventually } from '../../fakes/eventually.ts';
import { temporaryFolder } from '../../fakes/folder.ts';
import { FakeKubernetesServer } from '../../fakes/kubernetes-server.ts';
import { createCertificate, RunningCa } from '../../fakes/running-ca.ts';
import { path } from '../../resources/store-contract.ts';

const kinds = RESOURCE_KINDS.map(apiResourceOf);
const resourceOf = (kind: string): (typeof kinds)[number] =>
  kinds.find((each) => each.kind === kind) as (typeof kinds)[number];

describe('the CA of a cluster', () => {
  let server: FakeKubernetesServer;
  let folder: string;
  let ca: RunningCa | undefined;

  beforeEach(async function () {
    server = await FakeKubernetesServer.start(...kinds);
    folder = temporaryFolder(this);
    server.put(resourceOf('Pod'), {
      // As the embedded issuer names the pod of its tokens.
      metadata: { namespace: 'shop', name: 'catalog', uid: 'shop.catalog' },
      spec: { serviceAccountName: 'catalog', nodeName: 'node-1' },
      status: { phase: 'Running', podIP: '10.0.0.1' },
    });
    server.put(resourceOf('AuthorizationPolicy'), { ...path('first', '/first') });
  });
  afterEach(async () => {
    await ca?.stop('SIGKILL');
    await server.close();
  });

  const kubeconfig = (): string => {
    const { caFile } = server.writeAccess(folder);
    const config = {
      clusters: [{ name: 'c', cluster: { server: server.url, 'certificate-authority': caFile } }],
      users: [{ name: 'u', user: { token: server.token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    };
    writeFileSync(join(folder, 'kubeconfig'), JSON.stringify(config), { mode: 0o600 });
    return 'kubeconfig';
  };
  const start = (): Promise<RunningCa> =>
    RunningCa.start(folder, [
      '--kubernetes-enabled',
      'true',
      '--kubernetes-kubeconfig',
      kubeconfig(),
      '--kubernetes-context',
      'x',
    ]);
  const get = async (running: RunningCa, route: string): Promise<{ status: number; body: string }> => {
    const answer = await fetch(`http://127.0.0.1:${running.metricsPort}${route}`);
    return { status: answer.status, body: await answer.text() };
  };
  const subscribe = async (running: RunningCa): Promise<ControlSubscriber> => {
    const token = await running.token('shop', 'catalog');
    return new ControlSubscriber({ channel: running.channel(), workload: 'shop/catalog', token });
  };
  const refusalOf = async (running: RunningCa): Promise<string> => {
    const subscriber = await subscribe(running);
    subscriber.subscribe(CONTROL_TYPES.authorizationPolicy, '*');
    return String(await subscriber.ended);
  };

  it('hands out what is in the cluster, and what changes there', async () => {
    ca = await start();
    await ca.logged('the resources of the cluster were read');
    assert.deepEqual(await get(ca, '/ready'), { status: 200, body: 'ready\n' });
    const subscriber = await subscribe(ca);
    subscriber.subscribe(CONTROL_TYPES.authorizationPolicy, '*');
    await subscriber.until(() => subscriber.names(CONTROL_TYPES.authorizationPolicy).length === 1);
    server.put(resourceOf('AuthorizationPolicy'), { ...path('second', '/second') });
    await subscriber.until(() => subscriber.names(CONTROL_TYPES.authorizationPolicy).length === 2);
    server.remove(resourceOf('AuthorizationPolicy'), { namespace: 'shop', name: 'first' });
    await subscriber.until(() => subscriber.names(CONTROL_TYPES.authorizationPolicy).join() === 'shop/second');
    await subscriber.close();
  });

  it('starts and issues while the API server is down, says what it waits for, and hands out no empty mesh', async () => {
    const config = kubeconfig();
    assert.equal(config, 'kubeconfig');
    await server.stop();
    ca = await start();
    await ca.logged('objects cannot be followed; what is held stays in force');
    const said = ca.log.find(({ message }) => message === 'the CA is ready');
    assert.equal(said?.['ready'], false);
    assert.match(String(said['waitingFor']), /the resources of the cluster/);
    const { status: code, body } = await get(ca, '/ready');
    assert.equal(code, 503);
    assert.match(body, /the resources of the cluster cannot be read yet: .*ECONNREFUSED/);
    const channel = ca.channel();
    const token = await ca.token('shop', 'catalog');
    assert.equal((await createCertificate(channel, { csr: makeCsrPem(), token })).certChain.length, 2);
    channel.close();
    assert.match(await refusalOf(ca), /the resources of the cluster have not all been read yet/);
    assert.match(
      (await get(ca, '/metrics')).body,
      /sealwright_kubernetes_synced\{resource="authorizationpolicies"\} 0/,
    );
    await server.listen();
    await ca.logged('the resources of the cluster were read');
    assert.equal((await get(ca, '/ready')).status, 200);
    const subscriber = await subscribe(ca);
    subscriber.subscribe(CONTROL_TYPES.authorizationPolicy, '*');
    await subscriber.until(() => subscriber.names(CONTROL_TYPES.authorizationPolicy).length === 1);
    await subscriber.close();
  });

  it('names each permission that is missing, and hands nothing out without them', async () => {
    const denied = ['authorizationpolicies', 'serviceentries'];
    server.fault = ({ path: asked }) =>
      denied.some((plural) => asked.endsWith(plural)) ? { status: 403, body: '{"reason":"Forbidden"}' } : undefined;
    ca = await start();
    const { metricsPort } = ca;
    const ready = async (): Promise<string> => (await fetch(`http://127.0.0.1:${metricsPort}/ready`)).text();
    await eventually(async () => /authorizationpolicies\.security\.istio\.io/.test(await ready()));
    await eventually(async () => /serviceentries\.networking\.istio\.io/.test(await ready()));
    const { body } = await get(ca, '/metrics');
    for (const plural of denied) {
      const labels = `resource="${plural}",verb="list",code="kubernetes_forbidden"`;
      assert.ok(body.includes(`sealwright_kubernetes_problem{${labels}} 1`), plural);
    }
    assert.match(await refusalOf(ca), /the resources of the cluster have not all been read yet/);
    server.fault = () => undefined;
    await ca.logged('the resources of the cluster were read');
  });

  it('goes on with what it holds while the API server is away (invariant 9)', async () => {
    ca = await start();
    await ca.logged('the resources of the cluster were read');
    await server.stop();
    await ca.logged('objects cannot be followed; what is held stays in force');
    assert.equal((await get(ca, '/ready')).status, 200);
    const subscriber = await subscribe(ca);
    subscriber.subscribe(CONTROL_TYPES.authorizationPolicy, '*');
    await subscriber.until(() => subscriber.names(CONTROL_TYPES.authorizationPolicy).length === 1);
    server.put(resourceOf('AuthorizationPolicy'), { ...path('second', '/second') });
    await server.listen();
    await subscriber.until(() => subscriber.names(CONTROL_TYPES.authorizationPolicy).length === 2);
    await subscriber.close();
  });
});
