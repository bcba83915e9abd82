import { SocketAddress } from 'node:net';
import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import { FACTS_EXTENSION } from '../../src/wire/control-types.ts';
import {
  ADDRESS,
  ApplicationProtocol,
  AppProtocol,
  FACTS,
  HealthPolicy,
  LoadBalancingMode,
  MutualTls,
  WorkloadStatus,
  type Extension,
  type Facts,
  type Service as WireService,
  type Workload as WireWorkload,
} from '../../src/wire/message-type.ts';
import type { TypedBytes } from '../../src/wire/xds-message.ts';
import type { MtlsMode, PortProtocol, Service, Workload } from './destination.ts';

/** One thing that has an address. */
export type Addressed =
  { readonly kind: 'workload'; readonly workload: Workload } | { readonly kind: 'service'; readonly service: Service };

/**
 * Reads `istio.workload.Address` with the Facts that ride in it.
 *
 * @throws SealwrightError `response_unreadable`, `trust_domain_invalid`, `workload_name_invalid`,
 * `sidecar_config_unusable`
 */
export function readAddress(body: TypedBytes): Addressed {
  const { type } = ADDRESS.decode(body);
  switch (type.case) {
    case 'workload':
      return { kind: 'workload', workload: workloadOf(type.value) };
    case 'service':
      return { kind: 'service', service: serviceOf(type.value) };
    case undefined:
    default:
      throw new SealwrightError('sidecar_config_unusable', { reason: 'an address that is neither kind' });
  }
}

function workloadOf(wire: WireWorkload): Workload {
  const facts = factsOf(wire.extensions);
  const { region = '', zone = '', subzone = '' } = wire.locality ?? {};
  const mode = modeOf(facts?.mutualTls);
  const modes = new Map<number, MtlsMode>();
  for (const { port, mutualTls } of facts?.ports ?? []) {
    const own = modeOf(mutualTls);
    if (own !== undefined) modes.set(port, own);
  }
  const services = Object.entries(wire.services).map(([key, { ports }]): [string, ReadonlyMap<number, number>] => [
    key,
    new Map(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort === 0 ? servicePort : targetPort])),
  ]);
  return Object.freeze({
    uid: wire.uid,
    name: wire.name,
    namespace: wire.namespace,
    addresses: Object.freeze(wire.addresses.map(addressOf)),
    hostname: wire.hostname,
    network: wire.network,
    clusterId: wire.clusterId,
    locality: [region, zone, subzone].join('/').replace(/\/+$/, ''),
    // Empty means these two, as the protocol has it.
    identity: SpiffeId.ofWorkload(parseTrustDomain(wire.trustDomain === '' ? 'cluster.local' : wire.trustDomain), {
      namespace: wire.namespace,
      serviceAccount: wire.serviceAccount === '' ? 'default' : wire.serviceAccount,
    }),
    labels: Object.freeze({ ...facts?.labels }),
    canonicalName: wire.canonicalName,
    canonicalRevision: wire.canonicalRevision,
    workloadName: wire.workloadName,
    healthy: wire.status === WorkloadStatus.HEALTHY,
    weight: Math.max(1, wire.capacity ?? 1),
    sidecar: facts?.sidecar ?? false,
    ports: Object.freeze(
      (facts?.ports ?? []).flatMap(({ port, name, protocol, modeOnly }) =>
        modeOnly ? [] : Object.freeze({ port, name, protocol: PROTOCOLS[protocol] ?? 'auto' }),
      ),
    ),
    services: new Map(services),
    mtlsMode: (port: number) => modes.get(port) ?? mode,
  });
}

function serviceOf(wire: WireService): Service {
  const facts = factsOf(wire.extensions);
  const named = new Map((facts?.ports ?? []).map((port) => [port.port, port]));
  return Object.freeze({
    key: `${wire.namespace}/${wire.hostname}`,
    name: wire.name,
    namespace: wire.namespace,
    hostname: wire.hostname,
    // A range is no address that one could call.
    addresses: Object.freeze(
      wire.addresses.filter(({ length }) => length === undefined).map(({ address }) => addressOf(address)),
    ),
    ports: Object.freeze(
      wire.ports.map(({ servicePort: port, appProtocol }) => {
        const known = named.get(port);
        const protocol = known === undefined ? APP_PROTOCOLS[appProtocol] : PROTOCOLS[known.protocol];
        return Object.freeze({ port, name: known?.name ?? '', protocol: protocol ?? 'auto' });
      }),
    ),
    passthrough: wire.loadBalancing?.mode === LoadBalancingMode.PASSTHROUGH,
    callsUnhealthy: wire.loadBalancing?.healthPolicy === HealthPolicy.ALLOW_ALL,
    canonical: wire.canonical,
    subjectAltNames: Object.freeze([...wire.subjectAltNames]),
  });
}

function factsOf(extensions: readonly Extension[]): Facts | undefined {
  const config = extensions.find(({ name }) => name === FACTS_EXTENSION)?.config;
  return config === undefined ? undefined : FACTS.decode(config);
}

/** Unspecified, as what a later version may say, is "not known", never "off". */
function modeOf(mode: MutualTls | undefined): MtlsMode | undefined {
  return mode === undefined ? undefined : MODES[mode];
}

const MODES: Readonly<Partial<Record<MutualTls, MtlsMode>>> = {
  [MutualTls.DISABLE]: 'DISABLE',
  [MutualTls.PERMISSIVE]: 'PERMISSIVE',
  [MutualTls.STRICT]: 'STRICT',
};

const PROTOCOLS: Readonly<Partial<Record<ApplicationProtocol, PortProtocol>>> = {
  [ApplicationProtocol.TCP]: 'tcp',
  [ApplicationProtocol.TLS]: 'tcp',
  [ApplicationProtocol.HTTP1]: 'http',
  [ApplicationProtocol.HTTP2]: 'http2',
  [ApplicationProtocol.GRPC]: 'http2',
};

const APP_PROTOCOLS: Readonly<Partial<Record<AppProtocol, PortProtocol>>> = {
  [AppProtocol.TCP]: 'tcp',
  [AppProtocol.TLS]: 'tcp',
  [AppProtocol.HTTP11]: 'http',
  [AppProtocol.HTTP2]: 'http2',
  [AppProtocol.GRPC]: 'http2',
};

/** 4 or 16 bytes as text; IPv6 in its shortest form (RFC 5952). */
function addressOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) {
    throw new SealwrightError('sidecar_config_unusable', { reason: `an address of ${bytes.length} bytes` });
  }
  const groups = Array.from({ length: 8 }, (_, group) =>
    (((bytes[group * 2] ?? 0) << 8) | (bytes[group * 2 + 1] ?? 0)).toString(16),
  );
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}
