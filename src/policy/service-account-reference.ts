import type { WorkloadName } from '../identity/spiffe-id.ts';
import type { IdentityTest } from './principal-pattern.ts';
import { segmentsOf } from './spiffe-segments.ts';

/** Istio's CRD and webhook. */
export const MOST_SERVICE_ACCOUNTS = 16;
export const LONGEST_SERVICE_ACCOUNT = 320;

/** `ns/sa`, or `sa` in the policy's own namespace. */
export function parseServiceAccount(text: string, policyNamespace: string): WorkloadName {
  const slash = text.indexOf('/');
  return slash === -1
    ? { namespace: policyNamespace, serviceAccount: text }
    : { namespace: text.slice(0, slash), serviceAccount: text.slice(slash + 1) };
}

/** Why a service account cannot be used, or nothing. */
export function serviceAccountFault(text: string): string | undefined {
  if (text.length > LONGEST_SERVICE_ACCOUNT) return `it is longer than ${LONGEST_SERVICE_ACCOUNT} characters`;
  if (text.includes('*')) return 'service accounts know no wildcard';
  const parts = text.split('/');
  if (parts.length > 2 || parts.includes('')) return 'it is neither <namespace>/<name> nor <name>';
  return undefined;
}

/**
 * `serviceAccounts` and `source.serviceAccount`, in any trust domain.
 *
 * Istio asks the joined string for `spiffe://.+/ns/NS/(.+/|)sa/SA(/.+)?`. For `/ns/<namespace>/sa/<account>` this is
 * both names being equal. For a federated identity with more in its path: a segment `ns` followed by NS, and anywhere
 * behind these two a segment `sa` followed by SA.
 */
export function compileServiceAccount({ namespace, serviceAccount }: WorkloadName): IdentityTest {
  return (identity) => {
    const { workload } = identity;
    if (workload !== undefined) return workload.namespace === namespace && workload.serviceAccount === serviceAccount;
    const segments = segmentsOf(identity);
    const start = pairAt(segments, { key: 'ns', value: namespace, from: 0 });
    return start !== -1 && pairAt(segments, { key: 'sa', value: serviceAccount, from: start + 2 }) !== -1;
  };
}

function pairAt(
  segments: readonly string[],
  { key, value, from }: { key: string; value: string; from: number },
): number {
  return segments.findIndex((segment, index) => index >= from && segment === key && segments[index + 1] === value);
}
