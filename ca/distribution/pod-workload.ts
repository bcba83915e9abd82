import { localityOf, nodeOf } from '../../src/resources/node.ts';
import { podOf } from '../../src/resources/pod.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { TLS_MODE, workloadUid, type MeshWorkload } from './workload.ts';

export interface PodPlace {
  readonly clusterId: string;
  readonly clusterDomain: string;
  /** The Node of a name, where it is known. */
  readonly nodes: (name: string) => Pick<Resource, 'spec'> | undefined;
}

/** Istio's labels by which a pod says where it is; the network has no other source. */
const NETWORK = 'topology.istio.io/network';
const LOCALITY = 'istio-locality';

/** The workload of a Pod; nothing before it has an address, and once its containers have ended. */
export function podWorkload(
  resource: Resource,
  { clusterId, clusterDomain, nodes }: PodPlace,
): MeshWorkload | undefined {
  const pod = podOf(resource);
  if (pod.over || pod.addresses.length === 0) return undefined;
  const { namespace, name, labels } = resource;
  return Object.freeze({
    kind: 'Pod',
    uid: workloadUid('Pod', { clusterId, namespace, name }),
    namespace,
    name,
    addresses: pod.addresses,
    hostname: pod.host === '' ? '' : `${pod.host}.${namespace}.svc.${clusterDomain}`,
    network: labels[NETWORK] ?? '',
    locality: placeOf(labels, pod.node === '' ? undefined : nodes(pod.node)),
    weight: 0,
    labels,
    // Of two ports with one name the first counts, as in Kubernetes. One without a name is known by its number, which is
    // nobody's name.
    ports: Object.fromEntries(
      pod.ports.map(({ name: own, port }) => [own === '' ? String(port) : own, port]).toReversed(),
    ),
    serviceAccount: pod.serviceAccount,
    // Whoever injects a sidecar sets it. Without it there is none; with it callers want proof of the identity, which the
    // pod has to give: the label of a pod that has no sidecar makes calls fail, and never lets one pass unproven.
    sidecar: labels[TLS_MODE] === 'istio',
    healthy: pod.ready,
    hostNetwork: pod.hostNetwork,
    node: pod.node,
    owner: pod.owner,
  });
}

/** What the pod says itself, else where its node is; a label holds no slash, so that dots may stand for it. */
function placeOf(labels: Resource['labels'], node: Pick<Resource, 'spec'> | undefined): string {
  const own = labels[LOCALITY] ?? '';
  if (own !== '') return own.includes('/') ? own : own.replaceAll('.', '/');
  const ofNode = node === undefined ? '' : nodeOf(node).locality;
  return ofNode === '' ? localityOf(labels) : ofNode;
}
