import { isIP } from 'node:net';
import { SealwrightError } from '../../src/core/errors.ts';
import type { SidecarHost } from '../../src/resources/sidecar-host.ts';
import type { SidecarEndpoint } from '../../src/resources/sidecar-endpoint.ts';
import type { SidecarIngress } from '../../src/resources/sidecar.ts';
import type { MtlsMode, PortProtocol, Workload } from './destination.ts';
import type { OwnPlace, OwnPlaces } from './own-places.ts';
import type { PushedSidecar } from './read-resource.ts';
import type { ApplicationEndpoint, InboundListenerConfig, OutboundListenerConfig } from './sidecar-config.ts';

export interface Listeners {
  readonly localAddress: string;
  readonly inbound: readonly InboundListenerConfig[];
  readonly outbound: readonly OutboundListenerConfig[];
  readonly outboundHosts: readonly SidecarHost[];
}

/** Without a Sidecar an application may call every service that it can see, as in Istio. */
const EVERYTHING: readonly SidecarHost[] = Object.freeze([
  Object.freeze({ namespace: '*', host: '*', excluded: false }),
]);

/**
 * Where a workload's sidecar listens. With ingress listeners in its Sidecar, those; without, each port of the workload
 * at the workload's address, with the application at the same port of 127.0.0.1.
 *
 * @param own what else listens, where somebody knows
 * @throws SealwrightError `sidecar_config_unusable` for what would listen twice at one place, or at one that the sidecar
 * itself needs, or call itself
 */
export function listenersOf(
  workload: Workload,
  pushed: PushedSidecar | undefined,
  { mtlsMode, own }: { readonly mtlsMode: (port: number) => MtlsMode; readonly own?: OwnPlaces | undefined },
): Listeners {
  const address = workload.addresses[0] ?? refuse('its WorkloadEntry has no IP address');
  const localAddress = workload.addresses.find(isLoopback) ?? '127.0.0.1';
  const ingress = pushed?.sidecar.ingress ?? [];
  const inbound =
    ingress.length > 0
      ? ingress.map((listener) => ingressListener(listener, { address, mtlsMode }))
      : workload.ports.map(({ port, name, protocol }): InboundListenerConfig => {
          const endpoint: ApplicationEndpoint = { kind: 'tcp', host: '127.0.0.1', port };
          const mode = mtlsMode(port);
          return Object.freeze({ address, port, name, protocol, mode, endpoint, endpointAssumed: true });
        });
  const { outbound, outboundHosts } = egressListeners(pushed, localAddress);
  checkPlaces([...inbound, ...outbound]);
  if (own !== undefined) {
    const opened = [...inbound, ...outbound].filter(({ bound }) => !own.onlyBound || bound === true);
    checkOwnPlaces(opened, own.at(workload, localAddress));
  }
  for (const { endpoint, port } of inbound) {
    const loops =
      endpoint.kind === 'tcp' &&
      [...inbound, ...outbound].some((other) => other.address === endpoint.host && other.port === endpoint.port);
    if (loops) refuse(`the application of port ${port} would be at a port of the sidecar itself`);
  }
  return { localAddress, inbound, outbound, outboundHosts };
}

function ingressListener(
  { port, bind, captureMode, defaultEndpoint }: SidecarIngress,
  { address, mtlsMode }: { address: string; mtlsMode: (port: number) => MtlsMode },
): InboundListenerConfig {
  return Object.freeze({
    address: bind === '' ? address : bind,
    port: port.number,
    name: port.name,
    protocol: protocolOf(port.protocol),
    mode: mtlsMode(port.number),
    endpoint: endpointOf(defaultEndpoint, { address, port: port.number }),
    endpointAssumed: defaultEndpoint === undefined,
    bound: bind !== '' || captureMode === 'NONE',
  });
}

/** `0.0.0.0`, `::` and no host mean the workload's own address (Istio, Sidecar `defaultEndpoint`). */
function endpointOf(
  endpoint: SidecarEndpoint | undefined,
  own: { readonly address: string; readonly port: number },
): ApplicationEndpoint {
  if (endpoint === undefined) return Object.freeze({ kind: 'tcp', host: '127.0.0.1', port: own.port });
  if (endpoint.kind === 'unix') return Object.freeze({ kind: 'unix', path: endpoint.path });
  const host = ['', '0.0.0.0', '::'].includes(endpoint.host) ? own.address : endpoint.host;
  return Object.freeze({ kind: 'tcp', host, port: endpoint.port });
}

function egressListeners(
  pushed: PushedSidecar | undefined,
  localAddress: string,
): Pick<Listeners, 'outbound' | 'outboundHosts'> {
  if (pushed === undefined || pushed.sidecar.egress.length === 0) return { outbound: [], outboundHosts: EVERYTHING };
  const { egress } = pushed.sidecar;
  // `.` is the Sidecar's own namespace, which is the root's for a Sidecar of the whole mesh.
  const hostsOf = (hosts: readonly SidecarHost[]): readonly SidecarHost[] =>
    Object.freeze(
      hosts.map((host) => (host.namespace === '.' ? Object.freeze({ ...host, namespace: pushed.namespace }) : host)),
    );
  const outbound = egress.flatMap(({ port, bind, captureMode, hosts }): OutboundListenerConfig[] => {
    if (port === undefined) return [];
    const { number, name, protocol } = port;
    const address = bind === '' ? localAddress : bind;
    const bound = bind !== '' || captureMode === 'NONE';
    const spoken = protocolOf(protocol);
    return [Object.freeze({ address, port: number, name, protocol: spoken, hosts: hostsOf(hosts), bound })];
  });
  const others = egress.filter(({ port }) => port === undefined);
  return { outbound, outboundHosts: hostsOf((others.length > 0 ? others : egress).flatMap(({ hosts }) => hosts)) };
}

const HTTP = new Set(['HTTP', 'HTTP_PROXY', 'GRPC-WEB']);
const HTTP2 = new Set(['HTTP2', 'GRPC']);

/** A protocol as Istio's resources name it; what is none of HTTP's is opaque, what is not said is told from the bytes. */
function protocolOf(name: string): PortProtocol {
  if (name === '') return 'auto';
  if (HTTP.has(name)) return 'http';
  return HTTP2.has(name) ? 'http2' : 'tcp';
}

function checkPlaces(listeners: readonly { readonly address: string; readonly port: number }[]): void {
  const taken = new Set<string>();
  for (const { address, port } of listeners) {
    const place = placeName(address, port);
    if (taken.has(place)) refuse(`two listeners at ${place}: give one of them another port, or another bind`);
    taken.add(place);
  }
}

/** The sidecar's own would be found out when it is too late: one of the two takes the place of the other. */
function checkOwnPlaces(
  listeners: readonly { readonly address: string; readonly port: number; readonly name: string }[],
  own: readonly OwnPlace[],
): void {
  for (const { address, port, name } of listeners) {
    const clash = own.find((other) => other.port === port && overlap(other.address, address));
    if (clash === undefined) continue;
    const listener = name === '' ? 'a listener' : `listener ${name}`;
    refuse(
      `${listener} at ${placeName(address, port)} is where the sidecar itself listens (${clash.setting}): ` +
        'give it another port, or the sidecar another setting',
    );
  }
}

/** Whether the system gives the same port of both to one alone. */
function overlap(one: string, other: string): boolean {
  if (isIP(one) === 0 || isIP(other) === 0) return false;
  // One at `::` takes what comes by IPv4 too.
  if (one === other || one === '::' || other === '::') return true;
  return isIP(one) === isIP(other) && (one === '0.0.0.0' || other === '0.0.0.0');
}

function placeName(address: string, port: number): string {
  return isIP(address) === 0 ? address : `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

function refuse(reason: string): never {
  throw new SealwrightError('sidecar_config_unusable', { reason });
}
