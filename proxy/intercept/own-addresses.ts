import { isIPv4 } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';

/** Milliseconds between two looks at the interfaces: whoever sends to strange addresses must not make us look each time. */
const LOOK_AGAIN = 1_000;

/**
 * Says whether an address is this machine's, as others may call it. Where traffic is redirected before it is routed, the
 * kernel does not: a neighbour could send a packet for any address, loopback included, and have it carried there.
 */
export function knowOwnAddresses(
  interfaceAddresses: () => Iterable<string>,
  clock: Pick<Clock, 'elapsed'>,
): (address: string) => boolean {
  let known = new Set<string>();
  let looked = Number.NEGATIVE_INFINITY;
  return (address) => {
    if (isLoopback(address)) return false;
    if (known.has(address)) return true;
    const now = clock.elapsed();
    if (now - looked < LOOK_AGAIN) return false;
    looked = now;
    known = new Set(interfaceAddresses());
    return known.has(address);
  };
}

function isLoopback(address: string): boolean {
  return isIPv4(address) ? address.startsWith('127.') : address === '::1' || address === '::6';
}
