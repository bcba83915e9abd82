import type { Settings } from '../config/settings-table.ts';
import { placeIssue } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { parseTrustDomain } from '../identity/trust-domain.ts';
import { doubtsOf, type KnownListener } from '../policy/policy-doubts.ts';
import { reasonToPass } from '../policy/applied-policy.ts';
import { meshOf } from '../resources/mesh.ts';
import { readAuthorizationPolicy } from '../resources/policy-resource.ts';
import type { ResourceSnapshot } from '../resources/resource-store.ts';
import { modelOf } from '../../ca/distribution/mesh-model.ts';
import { isHttp, isSniffed } from '../../ca/distribution/protocol.ts';
import { listenersOfWorkload } from './workload-listeners.ts';

/** What only the other resources show of a policy: whom it can mean, and what its rules become at the ports there are. */
export function reviewPolicies(
  snapshot: ResourceSnapshot,
  settings: Pick<Settings, 'rootNamespace' | 'clusterId' | 'trustDomain'>,
): Issue[] {
  const { rootNamespace } = settings;
  const { trustDomainAliases, extensionProviders } = meshOf(snapshot, rootNamespace);
  const providers = extensionProviders.flatMap(({ kind, name }) => (kind === 'other' ? [] : [name]));
  const trustDomains = { trustDomain: parseTrustDomain(settings.trustDomain), aliases: trustDomainAliases };
  const { workloads } = modelOf(snapshot, settings);
  return snapshot.list('AuthorizationPolicy').flatMap((resource) => {
    const { policy } = readAuthorizationPolicy(resource);
    if (policy === undefined) return [];
    const listeners = workloads
      .filter(({ workload }) => reasonToPass(policy, { workload, rootNamespace }) === undefined)
      .flatMap((placed) => listenersOfWorkload(placed, { snapshot, rootNamespace }))
      .map(({ port, protocol }): KnownListener => {
        return { port, protocol: isHttp(protocol) ? 'http' : isSniffed(protocol) ? 'auto' : 'tcp' };
      });
    return doubtsOf(policy, { trustDomains, listeners, providers }).map((issue) => placeIssue(issue, resource.origin));
  });
}
