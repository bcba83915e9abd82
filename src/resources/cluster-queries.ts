import type { ApiResource } from '../kubernetes/api-resource.ts';
import type { ReflectorQuery } from '../kubernetes/reflector-options.ts';
import { MANAGED_BY, SELECTORS_CONTROLLER } from './endpoint-slice.ts';
import { RESOURCE_KINDS, type ResourceKind } from './kind.ts';
import { MESH_CONFIG_MAP } from './mesh.ts';

/** What is read of a cluster for one kind. */
export interface ClusterQuery {
  readonly kind: ResourceKind;
  readonly resource: ApiResource;
  readonly query: ReflectorQuery;
}

/**
 * Everything of each kind that can matter: of the ConfigMaps the one that holds the mesh's settings, and no permission for
 * others; no pods whose containers have ended, of which Jobs leave thousands; no slices that only repeat which pods a
 * selector finds.
 */
export function clusterQueries(rootNamespace: string): readonly ClusterQuery[] {
  const queries: Readonly<Record<string, ReflectorQuery>> = {
    ConfigMap: { namespace: rootNamespace, fieldSelector: `metadata.name=${MESH_CONFIG_MAP}` },
    Pod: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
    EndpointSlice: { labelSelector: `${MANAGED_BY}!=${SELECTORS_CONTROLLER}` },
  };
  return RESOURCE_KINDS.map((kind) => ({ kind, resource: apiResourceOf(kind), query: queries[kind.kind] ?? {} }));
}

/** How the API server serves a kind. */
export function apiResourceOf({ apiVersion, kind, plural, clusterScoped }: ResourceKind): ApiResource {
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/', 2) : ['', apiVersion];
  return { group, version: version ?? '', kind, plural, namespaced: clusterScoped !== true };
}
