import { applyCrds } from '../apply-crds.ts';
import type { Cluster } from '../cluster.ts';
import { installManifests } from '../install-manifests.ts';
import { Kubelet } from '../kubelet/kubelet.ts';
import type { PodNetwork } from '../kubelet/pod-network.ts';
import type { RunningPod } from '../kubelet/running-pod.ts';
import { until } from '../until.ts';
import { CA_HOST, caSpec, meshSpec, ROOT_NAMESPACE, type ContainerText } from './pod-specs.ts';

/** What became of the calls of a pod, by what it printed last: `sent`, `answered 200`, `failed ECONNRESET` … */
export type Counts = Readonly<Record<string, number>>;

/**
 * Sealwright on a real control plane as its manifests put it there: replicas of the CA as pods, and pods behind sidecars
 * whose tokens and roots come from the API server.
 */
export class MeshOfPods {
  readonly cluster: Cluster;
  readonly kubelet: Kubelet;
  /** Of the CA, in the order of their start. */
  readonly replicas = new Map<string, RunningPod>();

  constructor(cluster: Cluster, network: PodNetwork) {
    this.cluster = cluster;
    const addresses = (): string[] => [...this.replicas.values()].map(({ address }) => address);
    this.kubelet = new Kubelet({ cluster, network, hosts: () => ({ [CA_HOST]: addresses() }) });
  }

  /** Teaches the API server our kinds, and lets the CA do what it must. */
  async install(): Promise<void> {
    await applyCrds(this.cluster);
    await this.cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: ROOT_NAMESPACE } });
    await this.cluster.serviceAccount(ROOT_NAMESPACE, 'default');
    // No more rights than these.
    await installManifests(this.cluster, ['ca', 'ca-secret']);
  }

  async startCa(name: string): Promise<RunningPod> {
    const labels = { app: 'sealwright-ca' };
    const order = { namespace: ROOT_NAMESPACE, name, serviceAccount: 'sealwright-ca', labels, spec: caSpec() };
    await this.cluster.pod({ ...order, phase: 'Pending' });
    const pod = await this.kubelet.run(ROOT_NAMESPACE, name);
    this.replicas.set(name, pod);
    return pod;
  }

  /** A pod of the mesh, when it is ready. */
  async startPod(namespace: string, name: string, app: string, application: ContainerText): Promise<RunningPod> {
    const labels = { app, 'security.istio.io/tlsMode': 'istio' };
    const spec = meshSpec(application);
    await this.cluster.pod({ namespace, name, serviceAccount: app, labels, spec, phase: 'Pending' });
    return this.kubelet.run(namespace, name);
  }

  async service(namespace: string, app: string): Promise<void> {
    await this.cluster.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: app, namespace },
      spec: { selector: { app }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    });
  }

  /** A namespace whose pods can verify the CA: the leader has published the root there. */
  async namespace(stem: string, accounts: readonly string[]): Promise<string> {
    const namespace = await this.cluster.namespace(stem, accounts);
    await this.rootPublished(namespace);
    return namespace;
  }

  async rootPublished(namespace: string): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/configmaps/istio-ca-root-cert`;
    await until(async () => {
      const { status, body } = await this.cluster.plane.api('GET', path);
      return status === 200 && JSON.stringify(body).includes('BEGIN CERTIFICATE');
    });
  }

  /** The name of the replica that holds the lease, as it says itself. */
  async leader(): Promise<string> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${ROOT_NAMESPACE}/leases`;
    const { items } = await this.cluster.ask('GET', path);
    const [lease] = items as Record<string, Record<string, string>>[];
    const holder = lease?.['spec']?.['holderIdentity'] ?? '';
    return [...this.replicas.keys()].find((name) => holder.startsWith(name)) ?? '';
  }
}

/** What a pod that calls without a pause has counted so far. */
export function countsOf(pod: RunningPod): Counts {
  const line = pod.container('app').said.trimEnd().split('\n').at(-1) ?? '';
  return line.startsWith('{') ? (JSON.parse(line) as Counts) : {};
}

/** What was counted between two moments. */
export function between(before: Counts, after: Counts): Counts {
  const entries = Object.entries(after).map(([what, count]) => [what, count - (before[what] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count !== 0));
}
