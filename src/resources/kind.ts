import { nearestWord } from '../core/nearest-word.ts';

/** One kind of resource that is read. */
export interface ResourceKind {
  readonly kind: string;
  /** The group and version under which it is kept, whichever of `apiVersions` it was written in. */
  readonly apiVersion: string;
  readonly apiVersions: readonly string[];
  readonly plural: string;
  /** What kubectl takes besides. */
  readonly short: readonly string[];
  /** The field that holds what the resource says. */
  readonly content: 'spec' | 'data';
  /** What a cluster tells of itself and nobody writes: in a folder it means nothing. */
  readonly clusterOnly?: true;
  /** Whether it belongs to no namespace. */
  readonly clusterScoped?: true;
  /**
   * What is kept of an object that an API server sent, as its `spec`: the few fields that are needed, since a cluster has
   * tens of thousands of objects, and newer servers know fields that we do not. Never throws, whatever it is given.
   */
  readonly reduce?: (body: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
}

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
  row('Service', 'services', ['svc'], core),
  { ...row('ConfigMap', 'configmaps', ['cm'], core), content: 'data' as const },
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
