import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { EffectiveMtlsMode } from '../../src/policy/effective-mtls-mode.ts';

export type MtlsMode = EffectiveMtlsMode['mode'];

/** What is spoken at a port; `auto` is told from the first bytes. */
export type PortProtocol = 'auto' | 'http' | 'http2' | 'tcp';

/** One port that a workload listens on, as the control stream tells of it. */
export interface WorkloadPort {
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
}

/** One workload, own or another's, as the control stream tells of it. Never changes: an update is another object. */
export interface Workload {
  /** Unique over the mesh. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Numeric addresses; may be empty where only `hostname` is known. */
  readonly addresses: readonly string[];
  /** A DNS name of it alone, to be resolved where there is no address; mostly empty. */
  readonly hostname: string;
  readonly network: string;
  readonly clusterId: string;
  /** `region/zone/subzone`, without what is not known. */
  readonly locality: string;
  /** What the workload must prove to be. */
  readonly identity: SpiffeId;
  readonly labels: Readonly<Record<string, string>>;
  /** For telemetry: `destination_canonical_service` and its revision, `destination_workload`. */
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadName: string;
  readonly healthy: boolean;
  /** The share of calls among the workloads of a service; at least 1. */
  readonly weight: number;
  /** Whether a sidecar terminates its connections, so that mTLS can be offered at all. */
  readonly sidecar: boolean;
  readonly ports: readonly WorkloadPort[];
  /** By service (`namespace/hostname`): the port of the workload behind each port of the service. */
  readonly services: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** The mode in force at a port of the workload; undefined where the control stream did not say: never "off". */
  mtlsMode(port: number): MtlsMode | undefined;
}

export interface ServicePort {
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
}

export interface Service {
  /** `namespace/hostname`: the key of `Workload.services`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Whether a call goes where its caller says, and no workload is chosen for it. */
  readonly passthrough: boolean;
  /** Whether its workloads are called also while they are not healthy. */
  readonly callsUnhealthy: boolean;
  /** Whether it is a Kubernetes Service, whose name is its namespace's own and nobody else's. */
  readonly canonical: boolean;
  /** What a workload of it may also prove to be (ServiceEntry `subjectAltNames`), as written. */
  readonly subjectAltNames: readonly string[];
}

/** What is known of a name or an address. The same object until something in it changes: fit as a key of a cache. */
export type Destination =
  | {
      readonly kind: 'service';
      readonly service: Service;
      /** Those behind it, healthy or not, in the order of their uids; may be empty. */
      readonly workloads: readonly Workload[];
    }
  | { readonly kind: 'workload'; readonly workload: Workload }
  /** The control stream said that nothing of the mesh has this name: only then may traffic leave in plaintext. */
  | { readonly kind: 'outside' }
  /** Not known, and not to be found out in time: refuse. */
  | { readonly kind: 'unknown'; readonly reason: string };

/** What an application calls. */
export interface DestinationName {
  /** A numeric address, or a host name without port and final dot. Case does not matter. */
  readonly host: string;
  /**
   * Where a name may be looked for besides the own namespace and the one that a `*.svc.cluster.local` name says: the
   * namespaces of an egress listener's hosts. `*` stands for any and needs no other.
   */
  readonly namespaces?: readonly string[] | undefined;
  /**
   * The namespace whose service is meant, and no other's, not even one of the own namespace; `*` where there has to be
   * only one of the name. For what must not be taken over by whoever may write a ServiceEntry somewhere.
   */
  readonly owner?: string | undefined;
}

/** Workloads and services by name and address, fetched when they are first asked for and kept up to date from then on. */
export interface AddressBook {
  /** What is known at this moment, without asking; undefined where it has to be asked for. For the hot path. */
  peek(name: DestinationName): Destination | undefined;
  /** Asks and waits, at most for the time that the book was made with; answers `unknown` then. Never rejects. */
  resolve(name: DestinationName): Promise<Destination>;
  /** Calls back after each change of something that is in the book; the function returned ends that. */
  onChange(listener: () => void): () => void;
}
