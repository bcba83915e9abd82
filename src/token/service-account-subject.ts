import type { WorkloadName } from '../identity/spiffe-id.ts';

/** RFC 1123 label: what Kubernetes allows as the name of a namespace. A dot in it would be no namespace. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** RFC 1123 subdomain: what Kubernetes allows as the name of a service account or a pod. */
const SUBDOMAIN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/**
 * Reads `system:serviceaccount:<namespace>:<service account>`, which is both the `sub` of a service account token and
 * the user name that a TokenReview answers. Exactly four parts, both names such as Kubernetes would have created.
 */
export function parseServiceAccountSubject(subject: string): WorkloadName | undefined {
  const [system, kind, namespace = '', serviceAccount = '', ...more] = subject.split(':', 5);
  if (system !== 'system' || kind !== 'serviceaccount' || more.length > 0) return undefined;
  return isNamespaceName(namespace) && isObjectName(serviceAccount) ? { namespace, serviceAccount } : undefined;
}

export function formatServiceAccountSubject({ namespace, serviceAccount }: WorkloadName): string {
  return `system:serviceaccount:${namespace}:${serviceAccount}`;
}

export function isNamespaceName(name: string): boolean {
  return NAMESPACE.test(name);
}

/** The name of a service account, a pod or a node. */
export function isObjectName(name: string): boolean {
  return name.length <= 253 && SUBDOMAIN.test(name);
}
