import type { Issue } from '../core/issue.ts';
import { oldest } from './effective-mtls-mode.ts';
import { fieldPath } from './field-reader.ts';
import type { PeerAuthentication } from './peer-authentication.ts';
import type { KnownListener } from './policy-doubts.ts';
import type { RequestAuthentication } from './request-authentication.ts';
import { selects } from './workload-selector.ts';

/** What is right by itself and does nothing in this mesh. @param listeners those of all workloads that it is for */
export function doubtsOfPeers({ ports }: PeerAuthentication, listeners: readonly KnownListener[]): Issue[] {
  if (listeners.length === 0) return [];
  const known = new Set(listeners.map(({ port }) => port));
  return [...ports.keys()].flatMap((port) => {
    if (known.has(port)) return [];
    return Object.freeze({
      severity: 'warning',
      code: 'policy_port_not_exposed',
      path: fieldPath('spec.portLevelMtls', String(port)),
      message: `no workload that the policy selects listens on ${port}`,
      remedy: `policy means the port of the workload, not that of a Service: ${[...known].slice(0, 8).join(', ')}`,
    });
  });
}

/**
 * One that never counts, because at its level an older one does (`effectiveMtlsMode`).
 *
 * @param workloads labels of those that it selects; none where nothing is known, or where it selects everything
 * @param all of the mesh, itself among them
 */
export function doubtsOfAge(
  policy: PeerAuthentication,
  workloads: readonly Readonly<Record<string, string>>[],
  all: readonly PeerAuthentication[],
): Issue[] {
  const near = all.filter(({ namespace, selector }) => {
    return namespace === policy.namespace && (selector.size === 0) === (policy.selector.size === 0);
  });
  const counting =
    policy.selector.size === 0
      ? [oldest(near)]
      : workloads.map((labels) => oldest(near.filter(({ selector }) => selects(selector, labels))));
  const [first] = counting;
  if (first === undefined || counting.includes(policy)) return [];
  return [
    Object.freeze({
      severity: 'warning',
      code: 'policy_older_counts',
      path: 'metadata.name',
      message: `never counts: of several PeerAuthentications for the same workloads the oldest does, here ${first.name}`,
      remedy: 'put what both say into one, and delete the other',
    }),
  ];
}

/** The same of token rules: where nothing of HTTP is read, no token is found, and none is asked for. */
export function doubtsOfTokens(
  { targets, rules }: RequestAuthentication,
  listeners: readonly KnownListener[],
): Issue[] {
  if (targets.length > 0 || rules.length === 0 || listeners.length === 0) return [];
  // Where it is HTTP/2, calls are refused for the tokens that nobody can read of them.
  if (listeners.some(({ protocol }) => protocol !== 'tcp')) return [];
  const ports = [...new Set(listeners.map(({ port }) => port))].slice(0, 8).join(', ');
  return [
    Object.freeze({
      severity: 'warning',
      code: 'policy_tokens_not_read',
      path: 'spec.jwtRules',
      message: `no token is read: the workloads listen on ${ports} alone, which is TCP`,
      remedy: 'declare the port as HTTP, or remove the policy',
    }),
  ];
}
