import { isIPv4, SocketAddress } from 'node:net';
import type { Place } from './original-destination.ts';

/** Linux' numbers of address families (include/linux/socket.h). */
export const AF_INET = 2;
export const AF_INET6 = 10;

/** Bytes of a `sockaddr_in` and a `sockaddr_in6` (ip(7), ipv6(7)). */
export const SOCKADDR_IN = 16;
export const SOCKADDR_IN6 = 28;

/**
 * Reads a `sockaddr_in` or `sockaddr_in6` as the kernel writes it: the family in the machine's order, port and address in
 * the network's. Undefined for what is neither.
 *
 * @param littleEndian the machine's order
 */
export function readSocketAddress(bytes: Buffer, { littleEndian }: { littleEndian: boolean }): Place | undefined {
  if (bytes.length < SOCKADDR_IN) return undefined;
  const family = littleEndian ? bytes.readUInt16LE(0) : bytes.readUInt16BE(0);
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) {
    return { address: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port };
  }
  if (family !== AF_INET6 || bytes.length < SOCKADDR_IN6) return undefined;
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(8 + group * 2).toString(16));
  const { address } = new SocketAddress({ address: groups.join(':'), family: 'ipv6' });
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : '';
  return { address: isIPv4(mapped) ? mapped : address, port };
}

/** Writes one for `bind`. */
export function writeSocketAddress({ address, port }: Place, { littleEndian }: { littleEndian: boolean }): Buffer {
  const v4 = isIPv4(address);
  const bytes = Buffer.alloc(v4 ? SOCKADDR_IN : SOCKADDR_IN6);
  const family = v4 ? AF_INET : AF_INET6;
  if (littleEndian) bytes.writeUInt16LE(family, 0);
  else bytes.writeUInt16BE(family, 0);
  bytes.writeUInt16BE(port, 2);
  if (v4) bytes.set(address.split('.').map(Number), 4);
  else groupsOf(address).forEach((group, index) => bytes.writeUInt16BE(group, 8 + index * 2));
  return bytes;
}

/** The eight groups of an IPv6 address in any of its spellings. */
function groupsOf(address: string): number[] {
  const shortest = new SocketAddress({ address, family: 'ipv6' }).address;
  // The last two groups may be written as an IPv4 address (RFC 4291 2.2).
  const text = shortest.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a: string, b: string, c: string, d: string) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(':'),
  );
  const [before = '', after] = text.split('::');
  const read = (half: string): number[] =>
    half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16));
  const [head, tail] = [read(before), after === undefined ? [] : read(after)];
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
}
