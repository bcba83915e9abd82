import type { Socket } from 'node:net';
import type { AddressBook, Destination, PortProtocol } from './agent/destination.ts';
import type { SidecarConfigSource } from './agent/sidecar-config.ts';
import type { SidecarHost } from '../src/resources/sidecar-host.ts';
import type { OriginalDestination, Place } from './intercept/original-destination.ts';
import { capturedPort, type Lead, type OutboundPort } from './outbound/outbound-port.ts';
import { hostPort } from './report/request-entry.ts';

export interface CapturedOutboundOptions {
  readonly destinations: OriginalDestination;
  readonly config: Pick<SidecarConfigSource, 'current'>;
  readonly book: AddressBook;
}

/**
 * Finds what an intercepted connection of the application leads to. What is spoken is known from the service or workload
 * at the address that was called, so that is asked for first: nothing is read, and nobody called, before.
 */
export function captureOutbound({ destinations, config, book }: CapturedOutboundOptions) {
  const leadTo = (place: Place, destination: Destination): Lead => {
    const protocol = protocolAt(destination, place.port);
    let made: { readonly hosts: readonly SidecarHost[]; readonly port: OutboundPort } | undefined;
    return {
      destination: hostPort(place.address, place.port),
      port: () => {
        const current = config.current();
        if (current === undefined) return undefined;
        // An egress listener of that port says what its port may reach, all others what any other port may.
        const own = current.outbound.find(({ port, bound }) => port === place.port && bound !== true);
        const hosts = own?.hosts ?? current.outboundHosts;
        if (made?.hosts !== hosts) made = { hosts, port: capturedPort(place, { hosts, protocol }) };
        return made.port;
      },
    };
  };
  return (socket: Socket): Lead | undefined | Promise<Lead | undefined> => {
    const place = destinations.of(socket);
    if (place === undefined) return undefined;
    const name = { host: place.address };
    const known = book.peek(name);
    if (known !== undefined) return leadTo(place, known);
    return book.resolve(name).then((destination) => leadTo(place, destination));
  };
}

/** HTTP/2 is not read yet: it is told from its first bytes, and passes as it is. */
function protocolAt(destination: Destination, port: number): PortProtocol {
  const ports =
    destination.kind === 'service'
      ? destination.service.ports
      : destination.kind === 'workload'
        ? destination.workload.ports
        : [];
  const protocol = ports.find((own) => own.port === port)?.protocol ?? 'auto';
  return protocol === 'http2' ? 'auto' : protocol;
}
