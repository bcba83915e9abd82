import type { SidecarHost } from '../../src/resources/sidecar-host.ts';
import type { PortProtocol } from '../agent/destination.ts';
import type { OutboundListenerConfig } from '../agent/sidecar-config.ts';
import { readAuthority } from './authority.ts';
import type { Target } from './route.ts';
import { compileVisibleHosts } from './visible-hosts.ts';

/** What the application may call through one listener. Never changes: another configuration is another one. */
export interface OutboundPort {
  readonly protocol: PortProtocol;
  /** What a request for this authority is for; undefined where it names no host. */
  targetOf(authority: string): Target | undefined;
  /** What an opaque connection is for, told by the server name of its ClientHello where it has one. */
  targetOfConnection(serverName: string): Target | undefined;
}

/** Where one of the application's connections leads. */
export interface Lead {
  /** `address:port` that the application called, where that is not where its connection arrived. */
  readonly destination?: string;
  /** What may be called by it at the moment; undefined where nothing may any more. */
  readonly port: () => OutboundPort | undefined;
}

/** The port where plain HTTP is, where an authority says none (RFC 9110 4.2.1). */
const HTTP_PORT = 80;

/** An egress listener of the Sidecar: the port is that of the services, and the host may be given. */
export function egressPort({ protocol, port, hosts }: OutboundListenerConfig): OutboundPort {
  const visible = compileVisibleHosts(hosts);
  const { only, namespaces } = visible;
  const open = hosts.some(({ host, namespace, excluded }) => host === '*' && namespace === '*' && !excluded);
  const targetOf = (host: string, asked: number | undefined): Target => ({
    name: { host, namespaces },
    ports: asked === undefined || asked === port ? [port] : [port, asked],
    anyPort: true,
    visible,
    open,
  });
  const single = only === undefined ? undefined : targetOf(only.host.toLowerCase(), undefined);
  return Object.freeze({
    protocol,
    targetOf: (authority: string) => {
      if (single !== undefined) return single;
      const read = readAuthority(authority);
      return read === undefined ? undefined : targetOf(read.host, read.port);
    },
    targetOfConnection: (serverName: string) =>
      single ?? (serverName === '' ? undefined : targetOf(serverName.toLowerCase(), undefined)),
  });
}

/**
 * What is intercepted on its way to an address and port: the service that a request or a ClientHello names, if that is
 * one of the mesh with such a port, and otherwise what is at the address.
 */
export function capturedPort(
  { address, port }: { readonly address: string; readonly port: number },
  { hosts, protocol }: { readonly hosts: readonly SidecarHost[]; readonly protocol: PortProtocol },
): OutboundPort {
  const visible = compileVisibleHosts(hosts);
  const { namespaces } = visible;
  const there: Target = { name: { host: address, namespaces }, ports: [port], anyPort: false, visible, open: true };
  const named = (host: string): Target =>
    host === '' || host === address ? there : { ...there, name: { host, namespaces }, otherwise: there };
  return Object.freeze({
    protocol,
    targetOf: (authority: string) => named(readAuthority(authority)?.host ?? ''),
    targetOfConnection: (serverName: string) => named(serverName.toLowerCase()),
  });
}

/** The HTTP proxy port: whatever host and port the request names. */
export function proxyPort(hosts: readonly SidecarHost[]): OutboundPort {
  const visible = compileVisibleHosts(hosts);
  const { namespaces } = visible;
  return Object.freeze({
    protocol: 'http',
    targetOf: (authority: string): Target | undefined => {
      const read = readAuthority(authority);
      if (read === undefined) return undefined;
      const name = { host: read.host, namespaces };
      return { name, ports: [read.port ?? HTTP_PORT], anyPort: false, visible, open: true };
    },
    targetOfConnection: () => undefined,
  });
}
