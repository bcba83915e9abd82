import { isDeepStrictEqual } from 'node:util';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import { parseTrustDomain, type TrustDomain } from '../../src/identity/trust-domain.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import { effectiveMtlsMode } from '../../src/policy/effective-mtls-mode.ts';
import type { PeerAuthentication } from '../../src/policy/peer-authentication.ts';
import { tokenRulesFor, type RequestAuthentication } from '../../src/policy/request-authentication.ts';
import { decodePem } from '../../src/pki/pem.ts';
import { DEFAULT_MESH, type MeshConfig } from '../../src/resources/mesh.ts';
import type { Workload } from './destination.ts';
import { listenersOf } from './listeners.ts';
import type { PushedKeySet, PushedSidecar } from './read-resource.ts';
import type { SidecarConfig, SidecarPolicies } from './sidecar-config.ts';

/** Everything that a configuration is made of; each field another object when it changes. */
export interface ConfigParts {
  readonly workload: Workload;
  readonly authorizationPolicies: ReadonlyMap<string, AuthorizationPolicy>;
  readonly peerAuthentications: ReadonlyMap<string, PeerAuthentication>;
  readonly requestAuthentications: ReadonlyMap<string, RequestAuthentication>;
  readonly keySets: ReadonlyMap<string, PushedKeySet>;
  readonly sidecars: ReadonlyMap<string, PushedSidecar>;
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

/**
 * Makes a configuration of its parts. Whoever keeps something by an object of it (pools, compiled rules, parsed roots)
 * keeps it as long as that did not change.
 *
 * @throws SealwrightError `sidecar_config_unusable`
 */
export function createConfig(parts: ConfigParts, names: MeshNames, before: MadeConfig | undefined): SidecarConfig {
  const { workload, rootsPem } = parts;
  const mesh = [...parts.meshes.values()][0] ?? DEFAULT_MESH;
  const sidecar = [...parts.sidecars.values()][0];
  const trustDomains = keep(before?.config.trustDomains, {
    trustDomain: names.trustDomain,
    aliases: mesh.trustDomainAliases,
  });
  const peerAuthentications = [...parts.peerAuthentications.values()];
  const mtlsMode = (port: number) =>
    effectiveMtlsMode({ policies: peerAuthentications, workload, rootNamespace: names.rootNamespace, port }).mode;
  const { localAddress, inbound, outbound, outboundHosts } = listenersOf(workload, sidecar, mtlsMode);
  const kept = <T extends object>(of: readonly T[] | undefined, made: readonly T[]): readonly T[] =>
    Object.freeze(made.map((each) => of?.find((old) => isDeepStrictEqual(old, each)) ?? each));
  const samePolicies =
    before !== undefined &&
    before.parts.authorizationPolicies === parts.authorizationPolicies &&
    before.config.trustDomains === trustDomains &&
    isDeepStrictEqual(before.parts.workload.labels, workload.labels);
  const sameTrust =
    before !== undefined && before.parts.rootsPem === rootsPem && before.config.trustDomains === trustDomains;
  return Object.freeze({
    revision: (before?.config.revision ?? 0) + 1,
    workload,
    localAddress,
    inbound: kept(before?.config.inbound, inbound),
    outbound: kept(before?.config.outbound, outbound),
    outboundHosts: keep(before?.config.outboundHosts, outboundHosts),
    outboundTrafficPolicy: sidecar?.sidecar.outboundTrafficPolicy ?? mesh.outboundTrafficPolicy,
    policies: samePolicies ? before.config.policies : policiesOf(parts, { names, trustDomains }),
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

function policiesOf(
  { workload, authorizationPolicies }: ConfigParts,
  { names, trustDomains }: { names: MeshNames; trustDomains: SidecarConfig['trustDomains'] },
): SidecarPolicies {
  const compile = (protocol: 'http' | 'tcp'): SidecarPolicies['http'] =>
    compilePolicies({
      policies: [...authorizationPolicies.values()],
      workload: { namespace: workload.namespace, labels: workload.labels },
      rootNamespace: names.rootNamespace,
      trustDomains,
      protocol,
    });
  return Object.freeze({ http: compile('http'), tcp: compile('tcp') });
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
