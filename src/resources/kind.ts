import { nearestWord } from '../core/nearest-word.ts';
import { reduceEndpointSlice } from './endpoint-slice.ts';
import { reduceNode } from './node.ts';
import { reducePod } from './pod.ts';
import type { ResourceKind } from './resource-kind.ts';
import { reduceService } from './service.ts';

export type { ResourceKind } from './resource-kind.ts';

const security = ['security.istio.io/v1', 'security.istio.io/v1beta1'] as const;
const networking = ['networking.istio.io/v1', 'networking.istio.io/v1beta1', 'networking.istio.io/v1alpha3'] as const;
const core = ['v1'] as const;

export const RESOURCE_KINDS: readonly ResourceKind[] = Object.freeze([
  row('AuthorizationPolicy', 'authorizationpolicies', ['ap'], security),
  row('PeerAuthentication', 'peerauthentications', ['pa'], security),
  row('RequestAuthentication', 'requestauthentications', ['ra'], security),
  row('WorkloadEntry', 'workloadentries', ['we'], networking),
  row('ServiceEntry', 'serviceentries', ['se'], networking),
  row('Sidecar', 'sidecars', [], networking),
  row('DestinationRule', 'destinationrules', ['dr'], networking),
  { ...row('Service', 'services', ['svc'], core), reduce: reduceService },
  { ...row('ConfigMap', 'configmaps', ['cm'], core), content: 'data' as const },
  { ...row('Pod', 'pods', ['po'], core), clusterOnly: true as const, reduce: reducePod },
  {
    ...row('EndpointSlice', 'endpointslices', [], ['discovery.k8s.io/v1']),
    clusterOnly: true as const,
    reduce: reduceEndpointSlice,
  },
  {
    ...row('Node', 'nodes', ['no'], core),
    clusterOnly: true as const,
    clusterScoped: true as const,
    reduce: reduceNode,
  },
]);

function row(
  kind: string,
  plural: string,
  short: readonly string[],
  apiVersions: readonly [string, ...string[]],
): ResourceKind {
  return Object.freeze({ kind, plural, short, apiVersions, apiVersion: apiVersions[0], content: 'spec' as const });
}

/** Those that a person writes. */
export const WRITTEN_KINDS: readonly ResourceKind[] = Object.freeze(
  RESOURCE_KINDS.filter(({ clusterOnly }) => clusterOnly !== true),
);

/** The kind that a person names, as kubectl takes it: `AuthorizationPolicy`, `authorizationpolicies`, `ap`. */
export function findKind(word: string): ResourceKind | undefined {
  const [name = ''] = word.toLowerCase().split('.', 1);
  return WRITTEN_KINDS.find(({ kind, plural, short }) => {
    return kind.toLowerCase() === name || plural === name || short.includes(name);
  });
}

/** The kind whose name is nearest to a mistyped one. */
export function nearestKind(word: string): string | undefined {
  return nearestWord(
    word,
    WRITTEN_KINDS.map(({ kind }) => kind),
  );
}

/** Groups that are ours to understand: an unknown kind of theirs is an error, since ignoring it may leave a door open. */
export function isOwnGroup(apiVersion: string): boolean {
  return apiVersion.startsWith('security.istio.io/') || apiVersion.startsWith('networking.istio.io/');
}
