import { podOf } from '../../src/resources/pod.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { ResourceStore } from '../../src/resources/resource-store.ts';
import type { PodOnNode, PodsOnNodes } from './pods-on-nodes.ts';

export interface PodIndex extends PodsOnNodes {
  /** Follows the store no longer. */
  close(): void;
}

/**
 * The pods of a store by what a node agent is judged by. It follows the store change by change: neither a question nor a
 * change costs more where there are more pods.
 *
 * @param isSynced whether the store has read everything once
 */
export function createPodIndex(
  store: Pick<ResourceStore, 'snapshot' | 'subscribe'>,
  isSynced: () => boolean,
): PodIndex {
  const pods = new Map<string, PodOnNode>();
  /** How many live pods of an account are on a node. */
  const live = new Map<string, number>();

  const count = (namespace: string, { node, serviceAccount, ended, terminating }: PodOnNode, by: 1 | -1): void => {
    if (ended || terminating || node === '') return;
    const place = placeOf({ namespace, serviceAccount, node });
    const now = (live.get(place) ?? 0) + by;
    if (now === 0) live.delete(place);
    else live.set(place, now);
  };
  const remove = ({ namespace, name }: Resource): void => {
    const known = pods.get(`${namespace}/${name}`);
    if (known === undefined) return;
    pods.delete(`${namespace}/${name}`);
    count(namespace, known, -1);
  };
  const put = (resource: Resource): void => {
    remove(resource);
    const { uid, serviceAccount, node, over, terminating } = podOf(resource);
    const pod = { uid, serviceAccount, node, ended: over, terminating };
    pods.set(`${resource.namespace}/${resource.name}`, pod);
    count(resource.namespace, pod, 1);
  };

  const unsubscribe = store.subscribe(({ added, changed, removed }) => {
    for (const resource of removed) if (resource.kind === 'Pod') remove(resource);
    for (const resource of added) if (resource.kind === 'Pod') put(resource);
    for (const { after } of changed) if (after.kind === 'Pod') put(after);
  });
  for (const resource of store.snapshot.list('Pod')) put(resource);

  return {
    get synced() {
      return isSynced();
    },
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    hasRunningPod: (place) => live.has(placeOf(place)),
    close: unsubscribe,
  };
}

/** No name of Kubernetes holds a slash. */
function placeOf(place: Parameters<PodsOnNodes['hasRunningPod']>[0]): string {
  return `${place.node}/${place.namespace}/${place.serviceAccount}`;
}
