import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import type { KubernetesClient } from '../../src/kubernetes/api-client.ts';
import { isRecord, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import type { LiveObject, LiveObjects } from './workload-presence.ts';

const PODS: ApiResource = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };

const SERVICE_ACCOUNTS: ApiResource = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  namespaced: true,
};

/** Pods and service accounts as the API server has them at this moment. */
export function liveObjectsOf(client: Pick<KubernetesClient, 'get'>): LiveObjects {
  const read = async (resource: ApiResource, namespace: string, name: string): Promise<LiveObject | undefined> => {
    const object = await client.get(resource, { namespace, name });
    return object === undefined ? undefined : liveObjectOf(object);
  };
  return {
    pod: (namespace, name) => read(PODS, namespace, name),
    serviceAccount: (namespace, name) => read(SERVICE_ACCOUNTS, namespace, name),
  };
}

function liveObjectOf({ metadata, body }: KubernetesObject): LiveObject {
  const { status } = body;
  const phase = isRecord(status) ? status['phase'] : undefined;
  return {
    uid: metadata.uid,
    deletionTimestamp: metadata.deletionTimestamp,
    phase: typeof phase === 'string' ? phase : undefined,
  };
}
