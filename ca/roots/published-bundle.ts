import type { ApiResource } from '../../src/kubernetes/api-resource.ts';

/** Istio's name, which every client of the field mounts; and ours, for where somebody else publishes under it. */
export const [SHARED_NAME, OWN_NAME] = ['istio-ca-root-cert', 'sealwright-root-cert'] as const;

/** The key of the bundle in such a ConfigMap. Istio's too. */
export const BUNDLE_KEY = 'root-cert.pem';

/** The label of what we write. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'sealwright' } as const;

export const CONFIG_MAPS: ApiResource = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};

export function isManagedByUs(labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(MANAGED_BY).every(([name, value]) => labels[name] === value);
}
