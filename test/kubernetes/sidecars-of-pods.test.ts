import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '../fakes/folder.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { RunningCa } from '../fakes/running-ca.ts';
import { httpCall } from '../proxy/http-call.ts';
import { RunningProxy } from '../proxy/running-proxy.ts';
import { applyCrds } from './apply-crds.ts';
import { useCluster } from './cluster.ts';
import { until } from './until.ts';

const NET = loopbackNet();
const SIDECAR = { 'security.istio.io/tlsMode': 'istio' };

/** Pods with addresses of this machine, whose sidecars are called by name. */
describe('the sidecars of pods, with a real API server (slow)', function () {
  this.timeout(120_000);
  const cluster = useCluster();
  const proxies: RunningProxy[] = [];
  let ca: RunningCa | undefined;
  let application: Server;
  let port: number;
  let namespace: string;
  const seen: IncomingMessage[] = [];

  before(async function () {
    application = createServer((incoming, answer) => {
      seen.push(incoming);
      answer.end('books');
    });
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
    ({ port } = application.address() as AddressInfo);
    await applyCrds(cluster());
    namespace = await cluster().namespace('shop', ['front', 'catalog']);
    const kubeconfig = cluster().plane.adminKubeconfig;
    const flags = ['--kubernetes-enabled', 'true', '--kubernetes-kubeconfig', kubeconfig];
    const review = ['--ca-auth-token-review-enabled', 'true', '--ca-auth-token-review-kubeconfig', kubeconfig];
    const folder = temporaryFolder(this);
    // No issuer of tokens of its own.
    writeFileSync(join(folder, 'sealwright.yaml'), 'ca: {}\n');
    ca = await RunningCa.start(folder, [...flags, ...review]);
    await ca.logged('the resources of the cluster were read');
  });
  after(async () => {
    for (const proxy of proxies) await proxy.stop('SIGKILL');
    await ca?.stop();
    application?.close();
  });

  const pod = (name: string, account: string, last: number, more: object = {}): Promise<string> =>
    cluster().pod({
      namespace,
      name,
      serviceAccount: account,
      ip: `${NET}.${last}`,
      labels: { app: account, ...SIDECAR },
      ...more,
    });
  const sidecar = async (name: string, account: string, uid: string): Promise<RunningProxy> => {
    const token = await cluster().token({ namespace, serviceAccount: account, pod: { name, uid } });
    const workload = `${namespace}/${name}`;
    const proxy = RunningProxy.spawnInPod({ ca: ca ?? assert.fail(), workload, token, flags: ['--access-log', 'all'] });
    proxies.push(proxy);
    return proxy;
  };
  const call = async (host: string, path = '/books'): Promise<{ status: number; body: string }> => {
    const { status, body } = await httpCall(`${NET}.1`, 15_001, { path, headers: { host } });
    return { status, body };
  };
  const host = (): string => `catalog.${namespace}.svc.cluster.local`;

  it('are told of each other, and carry calls by mutual TLS under their pods’ identities', async () => {
    await cluster().apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'catalog' },
      spec: { selector: { app: 'catalog' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
    });
    const uid = await pod('catalog-0', 'catalog', 2, { ports: { web: port }, ready: false });
    const catalog = await sidecar('catalog-0', 'catalog', uid);
    const front = await sidecar('front-0', 'front', await pod('front-0', 'front', 1));
    await Promise.all([catalog.logged('the sidecar serves'), front.logged('the sidecar serves')]);
    assert.equal((await call(host())).status, 503, 'it is not ready for calls');
    await cluster().podStatus({ namespace, name: 'catalog-0' }, { ip: `${NET}.2` });
    await until(async () => (await call(host())).body === 'books');
    const id = (account: string): string => `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
    const xfcc = String(seen.at(-1)?.headers['x-forwarded-client-cert']);
    assert.match(xfcc, new RegExp(`By=${id('catalog')};.*URI=${id('front')}$`));
    // By the address of the pod it is the same one.
    assert.equal((await call(`${NET}.2:${port}`)).body, 'books');
    assert.match(String(seen.at(-1)?.headers['x-forwarded-client-cert']), new RegExp(`By=${id('catalog')};`));
  });

  it('enforce what kubectl applies to them by the labels of their pods', async () => {
    const denied = (app: string): object => ({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { namespace, name: `deny-${app}` },
      spec: { selector: { matchLabels: { app } }, action: 'DENY', rules: [{ to: [{ operation: { paths: ['/x'] } }] }] },
    });
    await cluster().apply([denied('front'), denied('catalog')]);
    await until(async () => (await call(host(), '/x')).status === 403);
    assert.equal((await call(host())).status, 200);
    // The label is what it goes by, and it can change while the sidecar runs.
    const label = ['-n', namespace, 'label', '--overwrite', 'pod', 'catalog-0'];
    assert.equal((await cluster().kubectl([...label, 'app=front'])).code, 0);
    assert.equal((await cluster().kubectl(['-n', namespace, 'delete', 'authorizationpolicy', 'deny-catalog'])).code, 0);
    await until(async () => (await call(`${NET}.2:${port}`, '/x')).status === 403);
    assert.equal((await cluster().kubectl([...label, 'app=catalog'])).code, 0);
    await until(async () => (await call(`${NET}.2:${port}`, '/x')).status === 200);
  });

  it('call a pod that claims a sidecar by mutual TLS and not otherwise, and one that does not in plaintext', async () => {
    await pod('lies', 'catalog', 3, { labels: { ...SIDECAR }, ports: { web: port } });
    const plain = createServer((_, answer) => answer.end('plain'));
    plain.listen(port, `${NET}.3`);
    await once(plain, 'listening');
    await until(async () => (await call(`${NET}.3:${port}`)).status === 503);
    const strip = ['-n', namespace, 'label', 'pod', 'lies', 'security.istio.io/tlsMode-'];
    assert.equal((await cluster().kubectl(strip)).code, 0);
    await until(async () => (await call(`${NET}.3:${port}`)).body === 'plain');
    plain.closeAllConnections();
    plain.close();
  });

  it('come too early, and are let in once their pod has an address', async () => {
    const uid = await pod('late', 'catalog', 4, { ip: undefined, phase: 'Pending', labels: { app: 'late' } });
    const late = await sidecar('late', 'catalog', uid);
    const { code, reason } = await late.logged('the control stream could not be opened');
    assert.match(`${String(code)} ${String(reason)}`, /it has no address yet/);
    await cluster().podStatus({ namespace, name: 'late' }, { ip: `${NET}.4` });
    await late.logged('the sidecar serves');
  });
});
