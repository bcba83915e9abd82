import type { SidecarHost } from '../../src/resources/sidecar-host.ts';
import type { Service } from '../agent/destination.ts';

/** Which services an application may call through one listener: the `hosts` of its Sidecar, ready to be asked. */
export interface VisibleHosts {
  /** The one host that is meant whatever the caller says, where there is exactly one and it has no wildcard. */
  readonly only: SidecarHost | undefined;
  /** Where a short name may be looked for; see `DestinationName`. */
  readonly namespaces: readonly string[];
  has(service: Pick<Service, 'namespace' | 'hostname'>): boolean;
}

export function compileVisibleHosts(hosts: readonly SidecarHost[]): VisibleHosts {
  const included = hosts.filter(({ excluded, namespace }) => !excluded && namespace !== '~');
  const excluded = hosts.filter((host) => host.excluded);
  const [first] = included;
  const single = hosts.length === 1 && first !== undefined && !first.host.startsWith('*') && first.namespace !== '*';
  return Object.freeze({
    only: single ? first : undefined,
    namespaces: [...new Set(included.map(({ namespace }) => namespace).filter((namespace) => namespace !== '*'))],
    has: (service: Pick<Service, 'namespace' | 'hostname'>) =>
      included.some((host) => fits(host, service)) && !excluded.some((host) => fits(host, service)),
  });
}

function fits({ namespace, host }: SidecarHost, service: Pick<Service, 'namespace' | 'hostname'>): boolean {
  if (namespace !== '*' && namespace !== service.namespace) return false;
  const hostname = service.hostname.toLowerCase();
  const pattern = host.toLowerCase();
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? hostname.endsWith(pattern.slice(1)) : hostname === pattern;
}
