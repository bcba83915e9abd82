import { isRecord, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import { BUNDLE_KEY, isManagedByUs, MANAGED_BY } from '../roots/published-bundle.ts';
import type { HeldBundle } from './bundle-writer.ts';

/** Keeps one text for all that say the same: ten thousand namespaces hold the same bundle. */
export function configMapReader(): (object: KubernetesObject) => HeldBundle {
  let last: string | undefined;
  return ({ metadata, body }) => {
    const said = isRecord(body['data']) ? body['data'][BUNDLE_KEY] : undefined;
    if (said !== last && typeof said === 'string') last = said;
    return {
      text: typeof said === 'string' ? last : undefined,
      labelled: isManagedByUs(metadata.labels),
      resourceVersion: metadata.resourceVersion,
    };
  };
}

export function configMapBody(
  place: { readonly namespace: string; readonly name: string },
  pem: string,
): Record<string, unknown> {
  return { metadata: { ...place, labels: MANAGED_BY }, data: { [BUNDLE_KEY]: pem } };
}

/** What else is in it stays. The version makes the server refuse it where somebody has written since. */
export function configMapChange({ resourceVersion }: HeldBundle, pem: string): Record<string, unknown> {
  return { metadata: { resourceVersion, labels: MANAGED_BY }, data: { [BUNDLE_KEY]: pem } };
}
