import { reasonToPass } from '../../src/policy/applied-policy.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import type { PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { selects, type WorkloadSelector } from '../../src/policy/workload-selector.ts';
import { MESH_CONFIG_MAP } from '../../src/resources/mesh.ts';
import {
  authenticatesRequestsOf,
  keySetName,
  type KeyPlace,
  type RequestAuthentication,
} from '../../src/policy/request-authentication.ts';
import {
  readAuthorizationPolicy,
  readPeerAuthentication,
  readRequestAuthentication,
} from '../../src/resources/policy-resource.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { parseSidecar } from '../../src/resources/sidecar.ts';

/** Whose resources are looked for. */
export interface Audience {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rootNamespace: string;
}

/** As much of an AuthorizationPolicy as says whose it is: there may be thousands, and the rules are not asked here. */
type Scope = Pick<AuthorizationPolicy, 'targets' | 'namespace' | 'selector'>;

const scopes = new WeakMap<Resource, Scope>();
const requestAuthentications = new WeakMap<Resource, RequestAuthentication>();
const peerAuthentications = new WeakMap<Resource, PeerAuthentication>();

/** Whether a policy counts for a workload, of those that are in its own or in the root namespace. */
export type Applies = (resource: Resource, audience: Audience) => boolean;

/** Whether a workload's sidecar enforces this AuthorizationPolicy. */
export const authorizationPolicyApplies: Applies = (resource, audience) => {
  const policy = scopeOf(resource);
  const { rootNamespace } = audience;
  return policy !== undefined && reasonToPass(policy, { workload: audience, rootNamespace }) === undefined;
};

/** Whom an AuthorizationPolicy is for; nothing where it cannot be read. */
export function scopeOf(resource: Resource): Scope | undefined {
  return remembered(scopes, resource, (each) => {
    const { policy } = readAuthorizationPolicy(each);
    if (policy === undefined) return undefined;
    const { targets, namespace, selector } = policy;
    return { targets, namespace, selector };
  });
}

/** What a policy of one of the three kinds selects; nothing where it counts nowhere. */
export function selectorOf(resource: Resource): WorkloadSelector | undefined {
  const { kind } = resource;
  if (kind === 'AuthorizationPolicy') return scopeOf(resource)?.selector;
  if (kind === 'PeerAuthentication') return peerAuthenticationOf(resource)?.selector;
  return requestAuthenticationOf(resource)?.selector;
}

/** Whether a workload's sidecar enforces this RequestAuthentication. */
export const requestAuthenticationApplies: Applies = (resource, audience) => {
  const policy = requestAuthenticationOf(resource);
  const { rootNamespace } = audience;
  return policy !== undefined && authenticatesRequestsOf(policy, { workload: audience, rootNamespace });
};

/** The RequestAuthentications that a workload's sidecar enforces. */
export function requestAuthenticationsFor(snapshot: ResourceSnapshot, audience: Audience): Resource[] {
  return nearby(snapshot, 'RequestAuthentication', audience).filter((resource) =>
    requestAuthenticationApplies(resource, audience),
  );
}

/** The names of the key sets that these policies need, and where each is. */
export function keyPlacesOf(resources: readonly Resource[]): ReadonlyMap<string, KeyPlace> {
  const places = new Map<string, KeyPlace>();
  for (const { keys } of resources.flatMap((resource) => requestAuthenticationOf(resource)?.rules ?? [])) {
    const name = keySetName(keys);
    if (name !== undefined) places.set(name, keys);
  }
  return places;
}

/** The same of all policies: no namespace may take the place of others by naming very many. */
export function fairKeyPlacesOf(
  resources: readonly Resource[],
  { most, tooMany }: { readonly most: number; readonly tooMany: (namespace: string, named: number) => void },
): ReadonlyMap<string, KeyPlace> {
  const places = new Map<string, KeyPlace>();
  for (const [namespace, own] of Map.groupBy(resources, (resource) => resource.namespace)) {
    const named = [...keyPlacesOf(own)];
    if (named.length > most) tooMany(namespace, named.length);
    for (const [name, place] of named.slice(0, most)) places.set(name, place);
  }
  return places;
}

export function requestAuthenticationOf(resource: Resource): RequestAuthentication | undefined {
  return remembered(requestAuthentications, resource, (each) => readRequestAuthentication(each).policy);
}

/** Whether this PeerAuthentication counts for a workload. One with a selector in the root namespace counts nowhere. */
export const peerAuthenticationApplies: Applies = (resource, audience) => {
  const policy = peerAuthenticationOf(resource);
  if (policy === undefined) return false;
  if (policy.selector.size > 0 && policy.namespace === audience.rootNamespace) return false;
  return selects(policy.selector, audience.labels);
};

export function peerAuthenticationOf(resource: Resource): PeerAuthentication | undefined {
  return remembered(peerAuthentications, resource, (each) => readPeerAuthentication(each).policy);
}

/**
 * The one Sidecar for a workload: the oldest of its namespace that selects it, else its namespace's default, else the
 * root namespace's (Istio, model/sidecar.go).
 */
export function sidecarFor(snapshot: ResourceSnapshot, audience: Audience): Resource | undefined {
  const own = sidecarsIn(snapshot.list('Sidecar', audience.namespace));
  const selecting = own.find(({ selector }) => selector !== undefined && selects(selector, audience.labels));
  const isDefault = ({ selector }: SelectingSidecar): boolean => selector === undefined;
  const found =
    selecting ?? own.find(isDefault) ?? sidecarsIn(snapshot.list('Sidecar', audience.rootNamespace)).find(isDefault);
  return found?.resource;
}

interface SelectingSidecar {
  readonly resource: Resource;
  readonly selector: WorkloadSelector | undefined;
}

const sidecars = new WeakMap<readonly Resource[], readonly SelectingSidecar[]>();

/** Oldest first. Asked for each workload of a namespace, and found out once for all as long as nothing changes there. */
function sidecarsIn(list: readonly Resource[]): readonly SelectingSidecar[] {
  const known = sidecars.get(list);
  if (known !== undefined) return known;
  const made = oldestFirst(list).map((resource) => {
    const selector = parseSidecar(resource).value?.workloadSelector;
    return { resource, selector: selector === undefined ? undefined : new Map(Object.entries(selector)) };
  });
  sidecars.set(list, made);
  return made;
}

/** The mesh settings, which are the same for all. */
export function meshSettingsIn(snapshot: ResourceSnapshot, rootNamespace: string): Resource | undefined {
  return snapshot.get({ kind: 'ConfigMap', namespace: rootNamespace, name: MESH_CONFIG_MAP });
}

/** Those of the root namespace and of the own. */
export function nearby(snapshot: ResourceSnapshot, kind: string, { namespace, rootNamespace }: Audience): Resource[] {
  const own = namespace === rootNamespace ? [] : snapshot.list(kind, namespace);
  return [...snapshot.list(kind, rootNamespace), ...own];
}

function oldestFirst(resources: readonly Resource[]): Resource[] {
  return resources.toSorted((a, b) => a.creationTimestamp - b.creationTimestamp || (a.name < b.name ? -1 : 1));
}

function remembered<T>(
  known: WeakMap<Resource, T & object>,
  resource: Resource,
  read: (resource: Resource) => (T & object) | undefined,
): T | undefined {
  const value = known.get(resource) ?? read(resource);
  if (value !== undefined) known.set(resource, value);
  return value;
}
