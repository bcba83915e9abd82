import type { ApiResource } from '../../src/kubernetes/api-resource.ts';

export const configMaps: ApiResource = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};
export const secrets: ApiResource = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };
export const nodes: ApiResource = { group: '', version: 'v1', kind: 'Node', plural: 'nodes', namespaced: false };
export const policies: ApiResource = {
  group: 'security.istio.io',
  version: 'v1',
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
  namespaced: true,
};
