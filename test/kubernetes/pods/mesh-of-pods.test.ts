import { strict as assert } from 'node:assert';
import { needNetworkNamespaces } from '../../fakes/network-namespaces.ts';
import { tellCounts } from '../../fakes/fuzz-rounds.ts';
import { useCluster } from '../cluster.ts';
import { PodNetwork } from '../kubelet/pod-network.ts';
import type { RunningPod } from '../kubelet/running-pod.ts';
import { until } from '../until.ts';
import { caller, server } from './pod-specs.ts';
import { between, countsOf, MeshOfPods, type Counts } from './mesh-of-pods.ts';

const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed }
spec:
  selector: { matchLabels: { app: catalog } }
  action: DENY
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
`;

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: sealwright-system }
spec: { mtls: { mode: STRICT } }
`;

/** What a call may come to while nothing forbids it. */
const GOOD = new Set(['sent', 'answered 200']);

describe('a mesh of pods whose connections are intercepted, on a real control plane (slow)', function () {
  this.timeout(180_000);
  let network: PodNetwork | undefined;
  let mesh: MeshOfPods;
  let namespace: string;
  let front: RunningPod;
  let catalogs: RunningPod[];
  /** What each part of the show counted, for its last line. */
  const total: Record<string, number> = {};

  before(function () {
    needNetworkNamespaces(this);
    network = new PodNetwork();
  });
  const cluster = useCluster(() => ({ host: network!.host }));

  before(async () => {
    mesh = new MeshOfPods(cluster(), network!);
    await mesh.install();
    await mesh.startCa('sealwright-ca-0');
    await mesh.startCa('sealwright-ca-1');
    namespace = await mesh.namespace('shop', ['front', 'catalog']);
    await mesh.service(namespace, 'catalog');
    const names = ['catalog-1', 'catalog-2'];
    catalogs = await Promise.all(names.map((name) => mesh.startPod(namespace, name, 'catalog', server)));
    front = await mesh.startPod(namespace, 'front-1', 'front', caller(`http://catalog.${namespace}/`));
    await until(() => (countsOf(front)['answered 200'] ?? 0) > 10);
  });

  after(async () => {
    await mesh?.kubelet.stop();
    network?.remove();
    tellCounts(`${total['sent'] ?? 0} requests sent, ${total['failed'] ?? 0} failed`);
  });

  afterEach(function () {
    if (this.currentTest?.isFailed() !== true) return;
    const said = [...mesh.replicas].map(([name, pod]) => `${name}: ${pod.container('ca').said.slice(-4_000)}`);
    console.error([...said, `front: ${front.container('sealwright-proxy').said.slice(-4_000)}`].join('\n'));
  });

  /** Runs a part of the show, and answers what became of the calls meanwhile and a second longer. */
  async function counted(part: () => Promise<unknown>): Promise<Counts> {
    const before = countsOf(front);
    await part();
    const sent = countsOf(front)['sent'] ?? 0;
    await until(() => (countsOf(front)['sent'] ?? 0) >= sent + 60);
    const counts = between(before, countsOf(front));
    for (const [what, count] of Object.entries(counts)) {
      const kind = what.startsWith('failed') ? 'failed' : what;
      total[kind] = (total[kind] ?? 0) + count;
    }
    return counts;
  }

  function assertAllGood(counts: Counts): void {
    assert.ok((counts['answered 200'] ?? 0) > 50, JSON.stringify(counts));
    assert.deepEqual(
      Object.keys(counts).filter((what) => !GOOD.has(what)),
      [],
      JSON.stringify(counts),
    );
  }

  /** Milliseconds until a call of the front comes to this. */
  async function comesTo(what: string): Promise<number> {
    const start = performance.now();
    const host = `http://catalog.${namespace}/`;
    await until(async () => {
      const address = await addressOf('catalog');
      const named = ['--resolve', `catalog.${namespace}:80:${address}`];
      const { stdout } = await front.run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', ...named, host);
      return stdout === what;
    });
    return performance.now() - start;
  }

  async function addressOf(service: string): Promise<string> {
    const { spec } = await cluster().ask('GET', `/api/v1/namespaces/${namespace}/services/${service}`);
    return (spec as Record<string, string>)['clusterIP'] ?? '';
  }

  const kubectl = async (args: readonly string[], input = ''): Promise<void> => {
    const { code, stderr } = await cluster().kubectl(['-n', namespace, ...args], input);
    assert.equal(code, 0, stderr);
  };

  it('carries calls between pods by mutual TLS, with the names that the API server gave them', async () => {
    assert.equal((await cluster().kubectl(['apply', '-f', '-'], STRICT)).code, 0);
    const address = await addressOf('catalog');
    const { stdout } = await front.run('curl', '-s', `http://${address}/`);
    assert.match(stdout, new RegExp(`spiffe://cluster.local/ns/${namespace}/sa/front`));
    assertAllGood(await counted(async () => {}));
  });

  it('enforces what kubectl applies, and no longer what it deletes', async () => {
    await counted(async () => {
      await kubectl(['apply', '-f', '-'], DENY);
      const closing = await comesTo('403');
      await kubectl(['delete', 'authorizationpolicy', 'closed']);
      const opening = await comesTo('200');
      tellCounts(`a DENY was in force ${closing.toFixed(0)} ms after kubectl, and gone after ${opening.toFixed(0)} ms`);
    });
    assertAllGood(await counted(async () => {}));
  });

  it('loses no call while the API server is dead, and certificates are renewed meanwhile (invariant 9)', async () => {
    const renewals = (): number => front.container('sealwright-proxy').said.split('renewed').length - 1;
    const counts = await counted(async () => {
      await cluster().plane.stopApiServer();
      const before = renewals();
      await until(() => renewals() > before, 60_000);
      await cluster().plane.startApiServer();
    });
    assertAllGood(counts);
  });

  it('takes policies up again when the API server is back', async () => {
    await counted(async () => {
      await kubectl(['apply', '-f', '-'], DENY);
      await comesTo('403');
      await kubectl(['delete', 'authorizationpolicy', 'closed']);
      await comesTo('200');
    });
  });

  it('loses no call when the leader is killed, and the other replica takes its work over', async () => {
    const leader = await mesh.leader();
    const counts = await counted(async () => {
      await mesh.replicas.get(leader)?.kill();
      mesh.replicas.delete(leader);
      await until(async () => ![leader, ''].includes(await mesh.leader()));
      await kubectl(['delete', 'configmap', 'istio-ca-root-cert']);
      await mesh.rootPublished(namespace);
    });
    assertAllGood(counts);
    await counted(async () => {
      await kubectl(['apply', '-f', '-'], DENY);
      await comesTo('403');
      await kubectl(['delete', 'authorizationpolicy', 'closed']);
      await comesTo('200');
    });
  });

  it('loses no call while pods come and go', async () => {
    const counts = await counted(async () => {
      await mesh.startPod(namespace, 'catalog-3', 'catalog', server);
      await Promise.all(catalogs.map((pod) => pod.delete()));
    });
    assertAllGood(counts);
  });
});
