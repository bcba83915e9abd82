import { Socket, type OnReadOpts } from 'node:net';
import type { UpstreamTransport } from '../upstream/upstream-connection.ts';
import { TPROXY_MARK } from './marks.ts';
import type { Place } from './original-destination.ts';
import { OPTIONS, type SocketCalls } from './socket-calls.ts';

/**
 * A bound descriptor for `listen({ fd })` that takes connections to addresses of others, as TPROXY brings them. Needs
 * CAP_NET_ADMIN.
 *
 * @throws SealwrightError `interception_refused`
 */
export function openTransparentListener(calls: SocketCalls, place: Place, { shared }: { shared: boolean }): number {
  return openTransparent(calls, place, (fd, v6) => {
    calls.setOption(fd, OPTIONS.reuseAddress, 1);
    if (shared) calls.setOption(fd, OPTIONS.reusePort, 1);
    if (v6) calls.setOption(fd, OPTIONS.only6, 1);
  });
}

/** To the application, from the address that called: it sees its caller as if nobody were between. */
export function transparentTransport({
  calls,
  host,
  port,
  from,
}: {
  readonly calls: SocketCalls;
  readonly host: string;
  readonly port: number;
  readonly from: string;
}): UpstreamTransport {
  return {
    destination: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    readyEvent: 'connect',
    connect: (onread?: OnReadOpts) => {
      try {
        // What the application answers is brought back to us by this mark.
        const fd = openTransparent(calls, { address: from, port: 0 }, (own) => {
          calls.setOption(own, OPTIONS.mark, TPROXY_MARK);
        });
        const options = { fd, allowHalfOpen: true, manualStart: true, ...(onread === undefined ? {} : { onread }) };
        return new Socket(options).connect({ host, port });
      } catch (error) {
        // As any other connection that cannot be made.
        return new Socket().destroy(error instanceof Error ? error : new Error(String(error)));
      }
    },
  };
}

function openTransparent(calls: SocketCalls, place: Place, prepare: (fd: number, v6: boolean) => void): number {
  const v6 = place.address.includes(':');
  const fd = calls.openTcp(v6 ? 'IPv6' : 'IPv4');
  try {
    calls.setOption(fd, v6 ? OPTIONS.transparent6 : OPTIONS.transparent, 1);
    prepare(fd, v6);
    calls.bind(fd, place);
    return fd;
  } catch (error) {
    calls.close(fd);
    throw error;
  }
}
