import { createKubernetesClient, type KubernetesClient } from '../../src/kubernetes/api-client.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { documentOf } from '../../src/resources/resource-document.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { realClock } from '../fakes/real-clock.ts';
import { applyCrds } from '../kubernetes/apply-crds.ts';
import { Cluster } from '../kubernetes/cluster.ts';
import { ControlPlane } from '../kubernetes/control-plane.ts';
import { findKubernetes } from '../kubernetes/programs.ts';
import { NotMeasurable, type Figure } from './figure.ts';
import type { ScaleSidecar } from './load/scale-sidecars.ts';
import { RunningScale } from './running-scale.ts';
import { ScaleMesh } from './scale-mesh.ts';

const SIDECARS = 1_000;
const ROOT = 'sealwright-system';
const POD: ApiResource = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };
const SERVICE: ApiResource = { ...POD, kind: 'Service', plural: 'services' };
const security = (kind: string, plural: string): ApiResource => {
  return { group: 'security.istio.io', version: 'v1', kind, plural, namespaced: true };
};
const AUTHORIZATION_POLICY = security('AuthorizationPolicy', 'authorizationpolicies');
const PEER_AUTHENTICATION = security('PeerAuthentication', 'peerauthentications');
const { address, authorizationPolicy } = CONTROL_TYPES;

/**
 * The same as `distribution-push` with the resources in a real API server: milliseconds from before a policy of the whole
 * mesh is written there to the last of 1000 sidecars that holds it, p99. Making them takes minutes.
 * `KUBERNETES_SCALE_PODS` asks for fewer than 10,000.
 */
export async function kubernetesScale(progress: (line: string) => void): Promise<Figure> {
  const programs = findKubernetes();
  if (!('etcd' in programs)) throw new NotMeasurable(`no Kubernetes here: ${programs.join(', ')} is missing`);
  const pods = Number(process.env['KUBERNETES_SCALE_PODS'] ?? 10_000);
  const mesh = new ScaleMesh(pods);
  const cluster = new Cluster(await ControlPlane.start(programs));
  const { adminKubeconfig: kubeconfig } = cluster.plane;
  const client = await createKubernetesClient({ config: { kubeconfig }, clock: realClock });
  let running: RunningScale | undefined;
  try {
    await applyCrds(cluster);
    const began = performance.now();
    await fill(cluster, client, mesh, progress);
    const filled = `the API server was filled in ${((performance.now() - began) / 1000).toFixed(0)} s`;
    running = await RunningScale.start({ pods, kubeconfig }, sidecarsOf(mesh), progress);
    const notes = [filled, ...running.notes];
    const own = { namespace: ROOT, name: 'all' };
    progress('policy of the mesh');
    const wide = await running.edits(
      { what: 'policy of the mesh', typeUrl: authorizationPolicy, told: SIDECARS, rounds: 30 },
      async (round) => void (await client.mergePatch(AUTHORIZATION_POLICY, specOf(mesh.meshPolicy(`/${round}`)), own)),
    );
    progress('policy of one service');
    const one = await running.edits(
      { what: 'policy of one service', typeUrl: authorizationPolicy, told: 5, rounds: 30 },
      async (round) => {
        const at = { namespace: 'ns0', name: 'p7' };
        await client.mergePatch(AUTHORIZATION_POLICY, specOf(mesh.policy('ns0', 7, `/${round}`)), at);
      },
    );
    progress('pod');
    const pod = await running.edits({ what: 'pod', typeUrl: address, told: 25, rounds: 30 }, async (round) => {
      const labels = { version: `v${round + 1}` };
      await client.mergePatch(POD, { metadata: { labels } }, { namespace: 'ns0', name: 'pod4' });
    });
    return {
      ours: wide.p99,
      unit: 'ms',
      peer: null,
      peerName: null,
      peerAbsent: 'istiod is not at hand',
      notes: [...notes, wide.line, one.line, pod.line],
    };
  } finally {
    running?.stop();
    client.close();
    await cluster.stop();
  }
}

function specOf({ spec }: Resource): Record<string, unknown> {
  return { spec };
}

function sidecarsOf(mesh: ScaleMesh): ScaleSidecar[] {
  return mesh.subscribers(Math.min(SIDECARS, mesh.namespaces.length * 100)).map(([namespace, pod]) => ({
    workload: `${namespace}/pod${pod}`,
    identity: `spiffe://cluster.local/ns/${namespace}/sa/default`,
    addresses: [`Kubernetes//Pod/${namespace}/pod${pod}`, ...mesh.services(namespace, pod)],
  }));
}

/** Writes the mesh into the API server, many requests at a time. */
async function fill(
  cluster: Cluster,
  client: KubernetesClient,
  mesh: ScaleMesh,
  progress: (line: string) => void,
): Promise<void> {
  const namespaces = [ROOT, ...mesh.namespaces];
  await cluster.apply(namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
  await inParallel(namespaces, (namespace) => cluster.serviceAccount(namespace, 'default'));
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
  let made = 0;
  await inParallel(mesh.resources(), async (resource) => {
    await create(client, resource);
    made += 1;
    if (made % 1_000 === 0) progress(`${made} resources made`);
  });
}

async function create(client: KubernetesClient, resource: Resource): Promise<void> {
  const { kind, namespace, name, spec } = resource;
  if (kind === 'WorkloadEntry') return createPod(client, resource);
  const to = kind === 'Service' ? SERVICE : kind === 'AuthorizationPolicy' ? AUTHORIZATION_POLICY : PEER_AUTHENTICATION;
  const document = documentOf(resource);
  // The API server gives it one out of its own range.
  const { clusterIP: _, ...rest } = spec;
  await client.create(to, { ...document, metadata: { name, namespace }, spec: rest }, { namespace });
}

/** A pod that runs, as far as the API server knows, where the mesh has a WorkloadEntry. */
async function createPod(client: KubernetesClient, { namespace, name, spec }: Resource): Promise<void> {
  const { labels, address: podIP } = spec;
  await client.create(
    POD,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels },
      spec: {
        nodeName: 'node-1',
        automountServiceAccountToken: false,
        containers: [{ name: 'app', image: 'none.invalid/app', ports: [{ name: 'http', containerPort: 8080 }] }],
      },
    },
    { namespace },
  );
  const conditions = [{ type: 'Ready', status: 'True' }];
  const status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions };
  await client.mergePatch(POD, { status }, { namespace, name, subresource: 'status' });
}

const AT_ONCE = 32;

async function inParallel<T>(items: Iterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) await act(next.value);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
