import { isDeepStrictEqual } from 'node:util';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import { parseTrustDomain, type TrustDomain } from '../../src/identity/trust-domain.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { atOnce } from '../../src/policy/slices.ts';
import { effectiveMtlsMode } from '../../src/policy/effective-mtls-mode.ts';
import type { PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { tokenRulesFor, type RequestAuthentication } from '../../src/policy/request-authentication.ts';
import { decodePem } from '../../src/pki/pem.ts';
import { inOrder, type PlacedRule } from '../../src/resources/choose-destination-rule.ts';
import { DEFAULT_MESH, type MeshConfig } from '../../src/resources/mesh.ts';
import type { Workload } from './destination.ts';
import { compileSidecarPolicies, type PolicyBase, type SidecarPolicyScope } from './compile-sidecar-policies.ts';
import { listenersOf } from './listeners.ts';
import type { OwnPlaces } from './own-places.ts';
import type { PushedKeySet, PushedSidecar } from './read-resource.ts';
import type { SidecarConfig } from './sidecar-config.ts';

/** Everything that a configuration is made of; each field another object when it changes. */
export interface ConfigParts {
  readonly workload: Workload;
  readonly authorizationPolicies: ReadonlyMap<string, AuthorizationPolicy>;
  readonly peerAuthentications: ReadonlyMap<string, PeerAuthentication>;
  readonly requestAuthentications: ReadonlyMap<string, RequestAuthentication>;
  readonly keySets: ReadonlyMap<string, PushedKeySet>;
  readonly sidecars: ReadonlyMap<string, PushedSidecar>;
  readonly destinationRules: ReadonlyMap<string, PlacedRule>;
  readonly meshes: ReadonlyMap<string, MeshConfig>;
  readonly rootsPem: string;
}

export interface MeshNames {
  readonly trustDomain: TrustDomain;
  readonly rootNamespace: string;
}

/** What was made last, so that what did not change stays the same object. */
export interface MadeConfig {
  readonly parts: ConfigParts;
  readonly config: SidecarConfig;
}

/** What a configuration is made beside. */
export interface Making {
  readonly before: MadeConfig | undefined;
  /** Policies that these differ little from, where they are not those of the last configuration. */
  readonly compiled?: PolicyBase | undefined;
  /** Where the sidecar listens for itself. */
  readonly ownPlaces?: OwnPlaces | undefined;
}

/** The mesh's own names, the same object as long as they are the same names. */
export function trustDomainsOf(
  { meshes }: Pick<ConfigParts, 'meshes'>,
  { trustDomain }: MeshNames,
  before: MadeConfig | undefined,
): SidecarConfig['trustDomains'] {
  const mesh = [...meshes.values()][0] ?? DEFAULT_MESH;
  return keep(before?.config.trustDomains, { trustDomain, aliases: mesh.trustDomainAliases });
}

/**
 * Makes a configuration of its parts. Whoever keeps something by an object of it (pools, compiled rules, parsed roots)
 * keeps it as long as that did not change.
 * @throws SealwrightError `sidecar_config_unusable`
 */
export function createConfig(
  parts: ConfigParts,
  names: MeshNames,
  { before, compiled, ownPlaces }: Making,
): SidecarConfig {
  const { workload, rootsPem } = parts;
  const mesh = [...parts.meshes.values()][0] ?? DEFAULT_MESH;
  const sidecar = [...parts.sidecars.values()][0];
  const trustDomains = trustDomainsOf(parts, names, before);
  const peerAuthentications = [...parts.peerAuthentications.values()];
  const mtlsMode = (port: number) =>
    effectiveMtlsMode({ policies: peerAuthentications, workload, rootNamespace: names.rootNamespace, port }).mode;
  const { localAddress, inbound, outbound, outboundHosts } = listenersOf(workload, sidecar, {
    mtlsMode,
    own: ownPlaces,
  });
  const kept = <T extends object>(of: readonly T[] | undefined, made: readonly T[]): readonly T[] =>
    Object.freeze(made.map((each) => of?.find((old) => isDeepStrictEqual(old, each)) ?? each));
  const base = compiled ?? policyBaseOf(before);
  const sameTrust =
    before !== undefined && before.parts.rootsPem === rootsPem && before.config.trustDomains === trustDomains;
  return Object.freeze({
    revision: (before?.config.revision ?? 0) + 1,
    workload,
    localAddress,
    inbound: kept(before?.config.inbound, inbound),
    outbound: kept(before?.config.outbound, outbound),
    outboundHosts: keep(before?.config.outboundHosts, outboundHosts),
    destinationRules:
      before?.parts.destinationRules === parts.destinationRules
        ? before.config.destinationRules
        : Object.freeze(inOrder(parts.destinationRules.values())),
    rootNamespace: names.rootNamespace,
    outboundTrafficPolicy: sidecar?.sidecar.outboundTrafficPolicy ?? mesh.outboundTrafficPolicy,
    policies: atOnce(compileSidecarPolicies(policyScopeOf(parts, names, trustDomains), parts, base)).policies,
    tokenRules: keep(
      before?.config.tokenRules,
      tokenRulesFor(parts.requestAuthentications.values(), { workload, rootNamespace: names.rootNamespace }),
    ),
    keySets: parts.keySets,
    mesh,
    trustDomains,
    rootsPem,
    bundleOf: sameTrust ? before.config.bundleOf : bundlesOf(rootsPem, trustDomains),
    mtlsMode,
  });
}

/** What policies are compiled for, but the protocol. */
export function policyScopeOf(
  { workload }: Pick<ConfigParts, 'workload'>,
  { rootNamespace }: MeshNames,
  trustDomains: SidecarConfig['trustDomains'],
): SidecarPolicyScope {
  const { namespace, labels } = workload;
  return { workload: { namespace, labels }, rootNamespace, trustDomains };
}

/** The compiled policies of the last configuration, and what they were compiled of. */
export function policyBaseOf(before: MadeConfig | undefined): PolicyBase | undefined {
  return before === undefined
    ? undefined
    : { policies: before.config.policies, of: before.parts.authorizationPolicies };
}

/** An alias is a name that the mesh had before: its identities are signed by the same roots. */
function bundlesOf(
  rootsPem: string,
  { trustDomain, aliases }: SidecarConfig['trustDomains'],
): SidecarConfig['bundleOf'] {
  const roots = Object.freeze(decodePem(rootsPem, 'CERTIFICATE'));
  const bundles = new Map(
    [trustDomain, ...aliases].map((name): [TrustDomain, TrustBundle] => {
      const parsed = parseTrustDomain(name);
      return [parsed, Object.freeze({ trustDomain: parsed, roots })];
    }),
  );
  return (name) => bundles.get(name);
}

function keep<T>(before: T | undefined, made: T): T {
  return before !== undefined && isDeepStrictEqual(before, made) ? before : made;
}
