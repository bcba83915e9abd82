import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import type { CompiledPolicies } from '../../src/policy/compile-policies.ts';
import type { AppliedTokenRule } from '../../src/policy/request-authentication.ts';
import type { TrustDomains } from '../../src/policy/trust-domain-aliases.ts';
import type { JwkSet } from '../../src/token/jwks.ts';
import type { PlacedRule } from '../../src/resources/choose-destination-rule.ts';
import type { MeshConfig } from '../../src/resources/mesh.ts';
import type { SidecarHost } from '../../src/resources/sidecar-host.ts';
import type { MtlsMode, PortProtocol, Workload } from './destination.ts';

/** Where the application itself listens. */
export type ApplicationEndpoint =
  | { readonly kind: 'tcp'; /** A numeric address. */ readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; /** An absolute path, or `@name`. */ readonly path: string };

/** One port at which others reach the application through the sidecar. */
export interface InboundListenerConfig {
  /** The numeric address to listen at. */
  readonly address: string;
  /** Also what policy means by a port. */
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  readonly mode: MtlsMode;
  readonly endpoint: ApplicationEndpoint;
  /** Whether nobody said where the application is: where connections are intercepted, it is where they were going. */
  readonly endpointAssumed?: boolean;
  /** Whether it is listened for at its address also where all others are intercepted. */
  readonly bound?: boolean;
}

/** One port at which the application reaches others through the sidecar. */
export interface OutboundListenerConfig {
  /** The numeric address to listen at, or a `unix://` path. */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  /** `.` is already the own namespace. With `tcp` exactly one host without a wildcard. */
  readonly hosts: readonly SidecarHost[];
  /** Whether it is listened for at its address also where all others are intercepted. */
  readonly bound?: boolean;
}

/** The policies of the workload, compiled once for each way of speaking. */
export interface SidecarPolicies {
  readonly http: CompiledPolicies;
  readonly tcp: CompiledPolicies;
}

/** What a sidecar does, at one moment: a frozen value. Every change is another one. */
export interface SidecarConfig {
  /** Counts up with each change of this process. */
  readonly revision: number;
  /** The workload that this sidecar is for. */
  readonly workload: Workload;
  /**
   * Where listeners for the application alone belong: the workload's address where that is a loopback one, else
   * 127.0.0.1, so that nobody else can speak with the workload's identity.
   */
  readonly localAddress: string;
  readonly inbound: readonly InboundListenerConfig[];
  readonly outbound: readonly OutboundListenerConfig[];
  /** What any other port, and the HTTP proxy port, may reach. */
  readonly outboundHosts: readonly SidecarHost[];
  /** How services are called, as `inOrder` puts them; the same object until one changes. */
  readonly destinationRules: readonly PlacedRule[];
  readonly rootNamespace: string;
  readonly outboundTrafficPolicy: 'REGISTRY_ONLY' | 'ALLOW_ANY';
  readonly policies: SidecarPolicies;
  /** The rules of all RequestAuthentications that apply; the same object until one changes. */
  readonly tokenRules: readonly AppliedTokenRule[];
  /** The keys of their issuers, by name of the set. */
  readonly keySets: ReadonlyMap<string, { readonly set: JwkSet }>;
  readonly mesh: MeshConfig;
  readonly trustDomains: TrustDomains;
  /** PEM of all roots, for OpenSSL; which of them fits a peer, `bundleOf` decides (bundles are never pooled). */
  readonly rootsPem: string;
  /** For `verifySvid`; undefined for a trust domain that is not trusted. */
  readonly bundleOf: (trustDomain: TrustDomain) => TrustBundle | undefined;
  /** The mode in force at any port of the workload, also one that no listener is for. */
  readonly mtlsMode: (port: number) => MtlsMode;
}

/** Where the configuration in force comes from. */
export interface SidecarConfigSource {
  /** Undefined until the first complete configuration: then nothing is served. */
  current(): SidecarConfig | undefined;
  /** Calls back after each change, never before `onChange` returned; the function returned ends that. */
  onChange(listener: (config: SidecarConfig) => void): () => void;
}

/** What of the mesh's control is under the sidecar, for readiness, metrics and people. */
export interface AgentStatus {
  /** Whether the control stream is open at this moment. */
  readonly connected: boolean;
  /** Where the configuration in force came from; undefined where there is none yet. */
  readonly configuration: 'stream' | 'disk' | undefined;
  /** By type: version and number of resources in force, and why the last push was refused. */
  readonly types: readonly {
    readonly typeUrl: string;
    readonly version: string;
    readonly resources: number;
    readonly refusal: string | undefined;
  }[];
  readonly identity:
    | {
        readonly identity: SpiffeId;
        /** Wall milliseconds. */
        readonly notAfter: number;
        /** Lower-case hexadecimal. */
        readonly serial: string;
      }
    | undefined;
  /** Why the last try failed, where one is still to be repeated. */
  readonly problem: string | undefined;
}
