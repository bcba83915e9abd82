import type { Socket } from 'node:net';
import type { OriginalDestination, Place } from './original-destination.ts';
import { readSocketAddress, SOCKADDR_IN, SOCKADDR_IN6 } from './socket-address.ts';
import { OPTIONS, type SocketCalls } from './socket-calls.ts';

export interface ReadDestinationOptions {
  readonly calls: Pick<SocketCalls, 'getOption'>;
  /** The ports of the listeners that connections are brought to. */
  readonly ports: ReadonlySet<number>;
  readonly littleEndian: boolean;
}

/**
 * By what the kernel remembers of a connection. One that TPROXY brought kept its destination, which is the socket's own
 * address; of one that REDIRECT brought, connection tracking knows it. About 6 µs, once a connection.
 */
export function readDestination({ calls, ports, littleEndian }: ReadDestinationOptions): OriginalDestination {
  return {
    of: (socket): Place | undefined => {
      const { localAddress = '', localPort = 0 } = socket;
      const v6 = localAddress.includes(':');
      if (!ports.has(localPort) && localAddress !== '') return { address: localAddress, port: localPort };
      const fd = descriptorOf(socket);
      if (fd === undefined) return undefined;
      const [option, size] = v6
        ? ([OPTIONS.originalDestination6, SOCKADDR_IN6] as const)
        : ([OPTIONS.originalDestination, SOCKADDR_IN] as const);
      const bytes = calls.getOption(fd, option, size);
      const place = bytes === undefined ? undefined : readSocketAddress(bytes, { littleEndian });
      // Whoever called the listener itself was not captured, and would be called back for ever.
      return place === undefined || ports.has(place.port) ? undefined : place;
    },
  };
}

/** Node keeps the descriptor of a socket to itself, in a place where it has been since its beginning. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
