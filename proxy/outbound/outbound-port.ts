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
