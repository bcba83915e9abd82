import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '../fakes/folder.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { RunningCa } from '../fakes/running-ca.ts';
import { httpCall } from '../proxy/http-call.ts';
import { RunningProxy } from '../proxy/running-proxy.ts';
import { applyCrds } from './apply-crds.ts';
import { Balancer } from './balancer.ts';
import { useCluster } from './cluster.ts';
import { installManifests } from './install-manifests.ts';
import { Traffic, type CallOutcome } from './traffic.ts';
import { until } from './until.ts';

const ROOT = 'sealwright-system';
const NET = loopbackNet();

/** Told where somebody watches: `npm run show:kubernetes`. */
const say = (what: string): void => {
  if (process.env['SHOW'] !== undefined) console.log(`      ${what}`);
};

/**
 * Everything together: a real control plane, two replicas of the CA with the rights of the manifests and a root that they
 * share, sidecars with tokens of the API server, policies by the real kubectl; the API server and the CA that leads are
 * killed while calls go on. Its tests are the acts of one play, in their order.
 */
describe('a mesh on a real API server, of which parts are killed', function () {
  this.timeout(180_000);
  this.bail(true);
  const cluster = useCluster();
  const traffic = new Traffic();
  const replicas: RunningCa[] = [];
  const sidecars: RunningProxy[] = [];
  let folder: string;
  let kubeconfig: string;
  let balancer: Balancer;
  let application: Server;
  let port: number;
  let namespace: string;

  before(async function () {
    folder = temporaryFolder(this);
    balancer = await Balancer.start();
    application = createServer((_, answer) => answer.end('books'));
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
    ({ port } = application.address() as AddressInfo);
    await applyCrds(cluster());
    await cluster().apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: ROOT } });
    await installManifests(cluster(), ['ca', 'ca-secret']);
    kubeconfig = await cluster().kubeconfigOf(ROOT, 'sealwright-ca');
    namespace = await cluster().namespace('shop', ['front', 'catalog']);
  });
  after(async () => {
    await traffic.stop();
    for (const sidecar of sidecars) await sidecar.stop('SIGKILL');
    for (const replica of replicas) await replica.stop('SIGKILL');
    application?.closeAllConnections();
    application?.close();
    await balancer?.close();
  });
  afterEach(function () {
    if (!this.currentTest?.isFailed()) return;
    for (const { log } of [...replicas, ...sidecars]) {
      console.error(
        log
          .slice(-40)
          .map((line) => JSON.stringify(line))
          .join('\n'),
      );
    }
  });

  const startReplica = async (name: string): Promise<RunningCa> => {
    const settings = {
      kubernetes: { enabled: true, kubeconfig },
      ca: {
        rootsSecret: `${ROOT}/sealwright-ca`,
        auth: { tokenReview: { enabled: true } },
        operator: { listen: '127.0.0.1:0' },
        leaderElection: { leaseDuration: '3s', renewDeadline: '2s', retryPeriod: '400ms' },
      },
    };
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, 'sealwright.yaml'), JSON.stringify(settings));
    const replica = await RunningCa.start(join(folder, name));
    replicas.push(replica);
    await replica.logged('the resources of the cluster were read');
    return replica;
  };
  const leads = async (ca: RunningCa): Promise<boolean> => {
    const text = await (await fetch(`http://127.0.0.1:${ca.metricsPort}/metrics`)).text();
    return /^leader_election_master_status\{name="sealwright-ca"\} 1$/m.test(text);
  };
  const rootOf = async (of: string): Promise<string | undefined> => {
    const { status, body } = await cluster().plane.api('GET', `/api/v1/namespaces/${of}/configmaps/istio-ca-root-cert`);
    return status === 200 ? (body['data'] as Record<string, string> | undefined)?.['root-cert.pem'] : undefined;
  };
  const startPod = async (name: string, account: string, last: number): Promise<RunningProxy> => {
    const uid = await cluster().pod({
      namespace,
      name,
      serviceAccount: account,
      ip: `${NET}.${last}`,
      labels: { app: account, 'security.istio.io/tlsMode': 'istio' },
      ...(account === 'catalog' ? { ports: { web: port } } : {}),
    });
    const own = join(folder, 'workloads', namespace, name);
    mkdirSync(own, { recursive: true, mode: 0o700 });
    const token = await cluster().token({ namespace, serviceAccount: account, pod: { name, uid } });
    writeFileSync(join(own, 'token'), token, { mode: 0o600 });
    // As a volume of the ConfigMap would hold it.
    writeFileSync(join(own, 'root-cert.pem'), (await rootOf(namespace)) ?? assert.fail('no root'));
    const sidecar = RunningProxy.spawnAgain({
      folder,
      port: balancer.port,
      workload: `${namespace}/${name}`,
      isPod: true,
      flags: ['--ca-root', join(own, 'root-cert.pem')],
    });
    sidecars.push(sidecar);
    await sidecar.logged('the sidecar serves');
    return sidecar;
  };
  const policy = (name: string, spec: object, kind = 'AuthorizationPolicy'): Promise<void> =>
    cluster().apply({ apiVersion: 'security.istio.io/v1', kind, metadata: { namespace, name }, spec });
  const denyAdmin = (): Promise<void> => {
    const rules = [{ to: [{ operation: { paths: ['/admin'], ports: [String(port)] } }] }];
    return policy('no-admin', { selector: { matchLabels: { app: 'catalog' } }, action: 'DENY', rules });
  };
  const kubectl = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await cluster().kubectl([...args, '-n', namespace]);
    assert.equal(code, 0, stderr);
  };
  const allowAdmin = (): Promise<void> => kubectl('delete', 'authorizationpolicy', 'no-admin');
  /** From the front's application, by its sidecar and the catalog's. */
  const through = (path: string) => async (): Promise<CallOutcome> => {
    const host = `catalog.${namespace}.svc.cluster.local`;
    return (await httpCall(`${NET}.1`, 15_001, { path, headers: { host } })).status;
  };
  /** From somebody outside of the mesh, in plaintext. */
  const plain = async (): Promise<CallOutcome> => {
    try {
      return (await httpCall(`${NET}.2`, port, { path: '/books' })).status;
    } catch {
      return 'refused';
    }
  };

  it('begins with two replicas that share a root, and sidecars that trust what the leader published', async () => {
    const [one, two] = await Promise.all([startReplica('one'), startReplica('two')]);
    balancer.lead(one?.port ?? 0, two?.port ?? 0);
    await until(async () => (await rootOf(namespace)) !== undefined);
    await cluster().apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'catalog' },
      spec: { selector: { app: 'catalog' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
    });
    await startPod('catalog-0', 'catalog', 2);
    await startPod('front-0', 'front', 1);
    await until(async () => (await through('/books')()) === 200);
    traffic.begin('/books', through('/books'), [200]);
    traffic.begin('/admin', through('/admin'), [200]);
    traffic.begin('in plaintext', plain, [200], 1);
    await until(() => traffic.sent > 50);
  });

  it('does what kubectl applies', async () => {
    const strict = (): Promise<void> => policy('strict', { mtls: { mode: 'STRICT' } }, 'PeerAuthentication');
    say(`STRICT was in force ${await traffic.turn('in plaintext', 'refused', strict)} ms after kubectl`);
    say(`a DENY was in force ${await traffic.turn('/admin', 403, denyAdmin)} ms after kubectl`);
    await until(async () => {
      const path = `/apis/security.istio.io/v1/namespaces/${namespace}/authorizationpolicies/no-admin`;
      return JSON.stringify((await cluster().ask('GET', path))['status'] ?? '').includes('True');
    });
  });

  it('goes on while the API server is killed and away, and hears of what was applied after it is back', async () => {
    const before = traffic.sent;
    await cluster().plane.stopApiServer();
    await until(() => traffic.sent >= before + 300, 60_000);
    for (const { metricsPort } of replicas) {
      assert.equal((await fetch(`http://127.0.0.1:${metricsPort}/ready`)).status, 200);
    }
    await cluster().plane.startApiServer();
    say(`a deleted DENY was gone ${await traffic.turn('/admin', 200, allowAdmin)} ms after kubectl`);
    say(`another was in force ${await traffic.turn('/admin', 403, denyAdmin)} ms after kubectl`);
  });

  it('goes on while the CA that leads is killed, and the other one leads, pushes, publishes and issues', async () => {
    await until(async () => (await Promise.all(replicas.map(leads))).filter(Boolean).length === 1);
    const [one, two] = replicas;
    assert.ok(one !== undefined && two !== undefined);
    const [leader, other] = (await leads(one)) ? [one, two] : [two, one];
    await leader.stop('SIGKILL');
    const killed = performance.now();
    say(`a deleted DENY was gone ${await traffic.turn('/admin', 200, allowAdmin)} ms after kubectl`);
    await until(() => leads(other));
    say(`the other one led ${Math.round(performance.now() - killed)} ms after the kill`);
    const root = await rootOf(namespace);
    await kubectl('delete', 'configmap', 'istio-ca-root-cert');
    await until(async () => (await rootOf(namespace)) === root);
    await startPod('catalog-1', 'catalog', 3);
    await traffic.turn('/admin', 403, denyAdmin);
  });

  it('loses no call that nothing explains', async () => {
    await traffic.stop();
    say([...traffic.counts].map(([what, count]) => `${what} × ${count}`).join(', '));
    say(`${traffic.sent} calls, ${traffic.unexplained.length} unexplained`);
    assert.deepEqual(traffic.unexplained, []);
    assert.ok(traffic.sent > 500, `${traffic.sent}`);
  });
});
