import type { Settings } from '../config/settings-table.ts';
import { placeIssue } from '../config/yaml-document.ts';
import type { Issue } from '../core/issue.ts';
import { parseTrustDomain } from '../identity/trust-domain.ts';
import { doubtsOfAge, doubtsOfPeers, doubtsOfTokens } from '../policy/authentication-doubts.ts';
import { doubtsOf, type KnownListener } from '../policy/policy-doubts.ts';
import { selects, type WorkloadSelector } from '../policy/workload-selector.ts';
import { meshOf } from '../resources/mesh.ts';
import {
  readAuthorizationPolicy,
  readPeerAuthentication,
  readRequestAuthentication,
} from '../resources/policy-resource.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceSnapshot } from '../resources/resource-store.ts';
import { modelOf } from '../../ca/distribution/mesh-model.ts';
import type { PlacedWorkload } from '../../ca/distribution/placed-workload.ts';
import { isHttp, isSniffed, isUnreadHttp, type PortProtocol } from '../../ca/distribution/protocol.ts';
import { listenersOfWorkload } from './workload-listeners.ts';

interface Selecting {
  readonly namespace: string;
  readonly selector: WorkloadSelector;
  readonly targets?: readonly unknown[];
}

/**
 * What only the other resources show of a policy: whom it can mean, and what its rules become at the ports there are.
 * What one resource shows by itself is said where it is read (`validateResource`). All are warnings.
 */
export function reviewResources(
  snapshot: ResourceSnapshot,
  settings: Pick<Settings, 'rootNamespace' | 'clusterId' | 'trustDomain'>,
): Issue[] {
  const { rootNamespace } = settings;
  const { trustDomainAliases, extensionProviders } = meshOf(snapshot, rootNamespace);
  const providers = extensionProviders.flatMap(({ kind, name }) => {
    return kind === 'other' ? [] : [{ name, httpOnly: kind === 'ext-authz-http' }];
  });
  const trustDomains = { trustDomain: parseTrustDomain(settings.trustDomain), aliases: trustDomainAliases };
  const { workloads } = modelOf(snapshot, settings);
  const selectedBy = ({ namespace, selector, targets = [] }: Selecting): readonly PlacedWorkload[] =>
    workloads.filter(({ workload }) => {
      const near = namespace === rootNamespace || namespace === workload.namespace;
      return targets.length === 0 && near && selects(selector, workload.labels);
    });
  const listenersOf = (selected: readonly PlacedWorkload[]): KnownListener[] =>
    selected
      .flatMap((placed) => listenersOfWorkload(placed, { snapshot, rootNamespace }))
      .map(({ port, protocol }): KnownListener => {
        return { port, protocol: kindOf(protocol) };
      });
  const nobody = (policy: Selecting, selected: readonly PlacedWorkload[]): Issue[] => {
    const known = workloads.length > 0 && policy.selector.size > 0 && (policy.targets ?? []).length === 0;
    return known && selected.length === 0 ? [SELECTS_NOBODY] : [];
  };
  const verifying = new Set(
    snapshot.list('RequestAuthentication').flatMap((resource) => {
      const { policy } = readRequestAuthentication(resource);
      return policy === undefined || policy.rules.length === 0 ? [] : selectedBy(policy);
    }),
  );
  const peers = new Map(
    snapshot.list('PeerAuthentication').map((resource) => [resource, readPeerAuthentication(resource).policy] as const),
  );
  const allPeers = [...peers.values()].flatMap((policy) => policy ?? []);
  const review = (resource: Resource): Issue[] => {
    if (resource.kind === 'AuthorizationPolicy') {
      const { policy } = readAuthorizationPolicy(resource);
      if (policy === undefined) return [];
      const selected = selectedBy(policy);
      const listeners = listenersOf(selected);
      const tokensVerified = selected.some((each) => verifying.has(each));
      return [...nobody(policy, selected), ...doubtsOf(policy, { trustDomains, listeners, providers, tokensVerified })];
    }
    if (resource.kind === 'PeerAuthentication') {
      const policy = peers.get(resource);
      // One with a selector in the root namespace is ignored, which is said where it is read.
      if (policy === undefined || (policy.selector.size > 0 && policy.namespace === rootNamespace)) return [];
      const selected = selectedBy(policy);
      const labels = selected.map(({ workload }) => workload.labels);
      return [
        ...nobody(policy, selected),
        ...doubtsOfAge(policy, labels, allPeers),
        ...doubtsOfPeers(policy, listenersOf(selected)),
      ];
    }
    if (resource.kind !== 'RequestAuthentication') return [];
    const { policy } = readRequestAuthentication(resource);
    if (policy === undefined) return [];
    const selected = selectedBy(policy);
    return [...nobody(policy, selected), ...doubtsOfTokens(policy, listenersOf(selected))];
  };
  return snapshot.all.flatMap((resource) => review(resource).map((issue) => placeIssue(issue, resource.origin)));
}

function kindOf(protocol: PortProtocol): KnownListener['protocol'] {
  if (isUnreadHttp(protocol)) return 'http2';
  return isHttp(protocol) ? 'http' : isSniffed(protocol) ? 'auto' : 'tcp';
}

const SELECTS_NOBODY: Issue = Object.freeze({
  severity: 'warning',
  code: 'policy_selects_nobody',
  path: 'spec.selector',
  message: 'selects none of the workloads that are known here, and so does nothing yet',
  remedy: 'compare the labels with those of the workload, and the namespace',
});
