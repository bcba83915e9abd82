import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { TrustBundle } from '../../src/identity/trust-bundle.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { decodePem } from '../../src/pki/pem.ts';
import { compilePolicies } from '../../src/policy/compile-policies.ts';
import { parseAuthorizationPolicy } from '../../src/policy/parse-authorization-policy.ts';
import { parseRequestAuthentication } from '../../src/policy/parse-request-authentication.ts';
import { tokenRulesFor, type AppliedTokenRule } from '../../src/policy/request-authentication.ts';
import { inOrder, type PlacedRule } from '../../src/resources/choose-destination-rule.ts';
import { parseDestinationRule } from '../../src/resources/destination-rule.ts';
import { DEFAULT_MESH, type MeshConfig } from '../../src/resources/mesh.ts';
import type {
  AddressBook,
  Destination,
  DestinationName,
  MtlsMode,
  PortProtocol,
  Service,
  Workload,
} from '../../proxy/agent/destination.ts';
import type {
  InboundListenerConfig,
  OutboundListenerConfig,
  SidecarConfig,
  SidecarConfigSource,
} from '../../proxy/agent/sidecar-config.ts';
import type { IdentityMaterial, IdentitySource } from '../../proxy/inbound/identity-source.ts';

const TRUST_DOMAIN = parseTrustDomain('cluster.local');

export interface WorkloadFields {
  readonly name: string;
  readonly namespace?: string;
  readonly address?: string;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly sidecar?: boolean;
  readonly mode?: MtlsMode | undefined;
  readonly healthy?: boolean;
  readonly weight?: number;
  /** By service key: the workload's port behind each port of the service. */
  readonly services?: Readonly<Record<string, Readonly<Record<number, number>>>>;
}

export function workload(fields: WorkloadFields): Workload {
  const { name, namespace = 'shop', address = '127.0.0.1', labels = {}, sidecar = true, services = {} } = fields;
  return {
    uid: `Kubernetes/networking.istio.io/WorkloadEntry/${namespace}/${name}`,
    name,
    namespace,
    addresses: [address],
    hostname: '',
    network: '',
    clusterId: 'Kubernetes',
    locality: '',
    identity: SpiffeId.ofWorkload(TRUST_DOMAIN, { namespace, serviceAccount: fields.serviceAccount ?? name }),
    labels,
    canonicalName: labels['service.istio.io/canonical-name'] ?? labels['app'] ?? name,
    canonicalRevision: labels['service.istio.io/canonical-revision'] ?? labels['version'] ?? 'latest',
    workloadName: name,
    healthy: fields.healthy ?? true,
    weight: fields.weight ?? 1,
    sidecar,
    ports: [],
    services: new Map(
      Object.entries(services).map(([key, ports]) => [
        key,
        new Map(Object.entries(ports).map(([port, own]) => [Number(port), own])),
      ]),
    ),
    mtlsMode: () => ('mode' in fields ? fields.mode : 'PERMISSIVE'),
  };
}

export function service(
  hostname: string,
  ports: readonly number[],
  more: { namespace?: string; subjectAltNames?: readonly string[]; passthrough?: boolean } = {},
): Service {
  const { namespace = 'shop', subjectAltNames = [], passthrough = false } = more;
  return {
    key: `${namespace}/${hostname}`,
    name: hostname.split('.')[0] ?? '',
    namespace,
    hostname,
    addresses: [],
    ports: ports.map((port) => ({ port, name: 'http', protocol: 'http' })),
    subjectAltNames,
    passthrough,
    callsUnhealthy: false,
    canonical: false,
  };
}

export interface ConfigFields {
  readonly workload: Workload;
  readonly rootsPem: string;
  readonly inbound?: readonly (Partial<InboundListenerConfig> & { readonly applicationPort?: number })[];
  readonly outbound?: readonly (Partial<OutboundListenerConfig> & { readonly to?: readonly string[] })[];
  readonly outboundTrafficPolicy?: 'REGISTRY_ONLY' | 'ALLOW_ANY';
  /** AuthorizationPolicies: name and spec, in the workload's namespace. */
  readonly policies?: Readonly<Record<string, object>>;
  /** Which of them are dry runs. */
  readonly dryRuns?: readonly string[];
  /** RequestAuthentications: name and spec, in the workload's namespace. */
  readonly authentications?: Readonly<Record<string, object>>;
  /** DestinationRules: name and spec, in the workload's namespace. */
  readonly destinationRules?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly mesh?: Partial<MeshConfig>;
}

let revision = 0;

export function sidecarConfig(fields: ConfigFields): SidecarConfig {
  const { workload: own, rootsPem, inbound = [], outbound = [], policies = {}, mesh = {}, dryRuns = [] } = fields;
  const bundle: TrustBundle = { trustDomain: TRUST_DOMAIN, roots: decodePem(rootsPem, 'CERTIFICATE') };
  const parsed = Object.entries(policies).map(([name, spec]) => {
    const document = {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: {
        name,
        namespace: own.namespace,
        ...(dryRuns.includes(name) ? { annotations: { 'istio.io/dry-run': 'true' } } : {}),
      },
      spec,
    };
    const { policy, issues } = parseAuthorizationPolicy({ file: undefined, value: document });
    if (policy === undefined) throw new Error(JSON.stringify(issues));
    return policy;
  });
  const trustDomains = { trustDomain: TRUST_DOMAIN, aliases: [] };
  const compiled = (protocol: 'http' | 'tcp'): ReturnType<typeof compilePolicies> =>
    compilePolicies({ policies: parsed, workload: own, rootNamespace: 'sealwright-system', trustDomains, protocol });
  const any = [{ namespace: '*', host: '*', excluded: false }];
  revision += 1;
  return {
    revision,
    workload: own,
    localAddress: own.addresses[0] ?? '127.0.0.1',
    inbound: inbound.map(({ applicationPort = 0, ...listener }) => ({
      address: own.addresses[0] ?? '127.0.0.1',
      port: 0,
      name: 'http',
      protocol: 'http' as PortProtocol,
      mode: 'PERMISSIVE',
      endpoint: { kind: 'tcp', host: '127.0.0.1', port: applicationPort },
      ...listener,
    })),
    outbound: outbound.map(({ to = ['*/*'], ...listener }) => ({
      address: own.addresses[0] ?? '127.0.0.1',
      port: 0,
      name: 'http',
      protocol: 'http' as PortProtocol,
      hosts: to.map((host) => ({
        namespace: host.split('/')[0] ?? '',
        host: host.split('/')[1] ?? '',
        excluded: false,
      })),
      ...listener,
    })),
    outboundHosts: any,
    destinationRules: inOrder(
      Object.entries(fields.destinationRules ?? {}).map(([name, spec]) => placedRule(name, own, spec)),
    ),
    rootNamespace: 'sealwright-system',
    outboundTrafficPolicy: fields.outboundTrafficPolicy ?? 'ALLOW_ANY',
    policies: { http: compiled('http'), tcp: compiled('tcp') },
    tokenRules: Object.entries(fields.authentications ?? {}).flatMap(([name, spec]) => tokenRules(name, own, spec)),
    keySets: new Map(),
    mesh: { ...DEFAULT_MESH, ...mesh },
    trustDomains,
    rootsPem,
    bundleOf: (trustDomain) => (trustDomain === TRUST_DOMAIN ? bundle : undefined),
    mtlsMode: () => 'PERMISSIVE',
  };
}

function placedRule(name: string, { namespace }: Workload, spec: Readonly<Record<string, unknown>>): PlacedRule {
  const { value, issues } = parseDestinationRule({ namespace, spec });
  if (value === undefined) throw new Error(JSON.stringify(issues));
  return { namespace, name, creationTimestamp: 0, rule: value };
}

function tokenRules(name: string, own: Workload, spec: object): readonly AppliedTokenRule[] {
  const { policy, issues } = parseRequestAuthentication({
    value: {
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name, namespace: own.namespace },
      spec,
    },
  });
  if (policy === undefined) throw new Error(JSON.stringify(issues));
  return tokenRulesFor([policy], { workload: own, rootNamespace: 'sealwright-system' });
}

/** A configuration that a test changes. */
export class TestConfig implements SidecarConfigSource {
  readonly #listeners = new Set<(config: SidecarConfig) => void>();
  #current: SidecarConfig | undefined;

  constructor(current?: SidecarConfig) {
    this.#current = current;
  }

  current(): SidecarConfig | undefined {
    return this.#current;
  }

  set(config: SidecarConfig): void {
    this.#current = config;
    for (const listener of this.#listeners) listener(config);
  }

  onChange(listener: (config: SidecarConfig) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** An address book that a test fills. What it was told nothing of is unknown, unless `outside` was said. */
export class TestBook implements AddressBook {
  readonly asked: string[] = [];
  readonly #known = new Map<string, Destination>();
  readonly #listeners = new Set<() => void>();
  /** Whether an answer is given at once, or only when asked for. */
  peeking = true;
  otherwise: Destination = { kind: 'unknown', reason: 'the control stream is not there' };

  addService(value: Service, ...workloads: Workload[]): void {
    const destination: Destination = { kind: 'service', service: value, workloads };
    this.set(value.hostname, destination);
    for (const each of workloads) this.addWorkload(each);
  }

  addWorkload(value: Workload): void {
    for (const address of value.addresses) this.set(address, { kind: 'workload', workload: value });
  }

  set(host: string, destination: Destination): void {
    this.#known.set(host, destination);
    for (const listener of this.#listeners) listener();
  }

  peek({ host }: DestinationName): Destination | undefined {
    return this.peeking ? this.#known.get(host) : undefined;
  }

  async resolve({ host }: DestinationName): Promise<Destination> {
    this.asked.push(host);
    return this.#known.get(host) ?? this.otherwise;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** A certificate that a test replaces. */
export class TestIdentitySource implements IdentitySource {
  readonly #listeners = new Set<() => void>();
  #current: IdentityMaterial | undefined;
  #version = 0;

  constructor(material?: Omit<IdentityMaterial, 'version'>) {
    if (material !== undefined) this.set(material);
  }

  current(): IdentityMaterial | undefined {
    return this.#current;
  }

  set(material: Omit<IdentityMaterial, 'version'>): void {
    this.#version += 1;
    this.#current = { ...material, version: `${this.#version}` };
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
