import { isIP } from 'node:net';
import { endianness } from 'node:os';
import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { ApplicationEndpoint } from '../agent/sidecar-config.ts';
import { applicationTransport } from '../upstream/application-transport.ts';
import { plainTransport } from '../upstream/transports.ts';
import type { Interception } from './interception.ts';
import type { Place } from './original-destination.ts';
import { knowOwnAddresses } from './own-addresses.ts';
import { readDestination } from './read-destination.ts';
import { RulesCheck } from './rules-check.ts';
import type { SocketCalls } from './socket-calls.ts';
import { openTransparentListener, transparentTransport } from './transparent-sockets.ts';

export interface InterceptionOptions {
  readonly mode: 'REDIRECT' | 'TPROXY';
  readonly calls: SocketCalls;
  readonly inbound: { readonly host: string | undefined; readonly port: number };
  readonly outbound: { readonly host: string | undefined; readonly port: number };
  /** Ports of the sidecar's own besides these two. */
  readonly ownPorts: readonly number[];
  /** The numeric addresses of this machine's interfaces at the moment. */
  readonly interfaceAddresses: () => readonly string[];
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  /** Whether several threads listen at these ports; whoever started them has found the rules in force. */
  readonly shared?: boolean;
}

/** Where the sidecar comes from when it calls its application: by these the rules know such calls (Istio). */
export const PASSTHROUGH_SOURCE = { IPv4: '127.0.0.6', IPv6: '::6' } as const;

export function createInterception(options: InterceptionOptions): Interception {
  const { mode, calls, inbound, outbound, interfaceAddresses, clock, logger, shared = false } = options;
  const ownPorts = new Set([inbound.port, outbound.port, ...options.ownPorts]);
  const isOwn = knowOwnAddresses(interfaceAddresses, clock);
  const ipv6 = interfaceAddresses().some((address) => address.includes(':'));
  const transparent = mode === 'TPROXY';
  const ports = new Set([inbound.port, outbound.port]);
  const destinations = readDestination({ calls, ports, littleEndian: endianness() === 'LE' });
  const check = shared ? undefined : new RulesCheck({ destinations, inboundPort: inbound.port, ipv6, clock, logger });
  return Object.freeze({
    destinations,
    inForce: check?.inForce ?? Promise.resolve(),
    close: () => check?.cancel(),
    inbound: placesOf(inbound, { ipv6, any: ['0.0.0.0', '::'] }),
    // Nobody else is to speak with the workload's identity, and REDIRECT brings what leaves this machine to loopback.
    outbound: placesOf(outbound, { ipv6, any: ['127.0.0.1', '::1'] }),
    admits: ({ address, port }: Place) => !ownPorts.has(port) && isOwn(address),
    toApplication: (endpoint: ApplicationEndpoint, from: string) => {
      // These the rules leave alone.
      if (endpoint.kind === 'unix' || endpoint.host === '127.0.0.1' || endpoint.host === '::1')
        return applicationTransport(endpoint);
      const { host, port } = endpoint;
      const keepsSource = transparent && isIP(from) === isIP(host) && !host.startsWith('127.');
      if (keepsSource) return transparentTransport({ calls, host, port, from });
      return plainTransport({ host, port, localAddress: PASSTHROUGH_SOURCE[host.includes(':') ? 'IPv6' : 'IPv4'] });
    },
    openListener: transparent ? (place: Place) => openTransparentListener(calls, place, { shared }) : undefined,
  });
}

function placesOf(
  { host, port }: InterceptionOptions['inbound'],
  { ipv6, any: [v4, v6] }: { readonly ipv6: boolean; readonly any: readonly [string, string] },
): Place[] {
  if (host !== undefined) return [{ address: host, port }];
  return ipv6 ? [v4, v6].map((address) => ({ address, port })) : [{ address: v4, port }];
}
