import type { ApiResource } from '../kubernetes/api-resource.ts';
import type { ReflectorQuery } from '../kubernetes/reflector-options.ts';
import { RESOURCE_KINDS, type ResourceKind } from './kind.ts';
import { MESH_CONFIG_MAP } from './mesh.ts';

/** What is read of a cluster for one kind. */
export interface ClusterQuery {
  readonly kind: ResourceKind;
  readonly resource: ApiResource;
  readonly query: ReflectorQuery;
}

/** Everything of each kind; of the ConfigMaps the one that holds the mesh's settings, and no permission for others. */
export function clusterQueries(rootNamespace: string): readonly ClusterQuery[] {
  return RESOURCE_KINDS.map((kind) => {
    const mesh = { namespace: rootNamespace, fieldSelector: `metadata.name=${MESH_CONFIG_MAP}` };
    return { kind, resource: apiResourceOf(kind), query: kind.kind === 'ConfigMap' ? mesh : {} };
  });
}

/** How the API server serves a kind. */
export function apiResourceOf({ apiVersion, kind, plural, clusterScoped }: ResourceKind): ApiResource {
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/', 2) : ['', apiVersion];
  return { group, version: version ?? '', kind, plural, namespaced: clusterScoped !== true };
}
