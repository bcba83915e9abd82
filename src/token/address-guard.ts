import { lookup as lookupName, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Which addresses a fetch may connect to. */
export interface AddressGuard {
  /** Why an address is refused, or undefined. */
  refusal(address: string, plaintext: boolean): string | undefined;
  /** For a socket that is given a name: resolves it, and fails where any of its addresses is refused. */
  lookup(plaintext: boolean): LookupFunction;
}

/** Resolves names as `dns.lookup` does; given in tests. */
export type Resolve = (name: string, done: (error: Error | null, found?: readonly LookupAddress[]) => void) => void;

/**
 * Keeps those who write addresses into policies from making us call what only we can reach: loopback, private and
 * link-local networks, and where clouds keep their metadata and credentials. Judges the address that is connected to,
 * never the name, which may resolve to another one the next time.
 *
 * @param allowed addresses and CIDR ranges that may be called all the same, in plaintext too
 */
export function createAddressGuard(
  allowed: readonly string[],
  resolve: Resolve = (name, done) => lookupName(name, { all: true }, done),
): AddressGuard {
  const exceptions = listOf(allowed);
  const refusal = (address: string, plaintext: boolean): string | undefined => {
    const plain = unmapped(address);
    const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
    if (exceptions.check(plain, family)) return undefined;
    if (plaintext) return 'it is plain http, and its address is not one of those allowed';
    const refused =
      family === 'ipv4'
        ? NOT_PUBLIC.check(plain, family)
        : !PUBLIC_6.check(plain, family) || NOT_PUBLIC.check(plain, family);
    return refused ? 'its address is not a public one, and not one of those allowed' : undefined;
  };
  return {
    refusal,
    lookup: (plaintext) => (name, options, done) => {
      resolve(name, (error, found = []) => {
        const reason = found.map(({ address }) => refusal(address, plaintext)).find((each) => each !== undefined);
        const [first] = found;
        if (error !== null) done(error, '');
        else if (reason !== undefined || first === undefined) done(new Error(reason ?? 'its name has no address'), '');
        else if (options.all === true) done(null, [...found]);
        else done(null, first.address, first.family);
      });
    },
  };
}

/** `::ffff:10.0.0.1` is 10.0.0.1 to whoever connects to it. */
function unmapped(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? address.replace(/%.*$/, '');
}

/** IANA's special-purpose registries, and an address of Azure's metadata that is a public one. */
const NOT_PUBLIC = listOf([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '2001::/23',
  '2001:db8::/32',
  // Ways to an IPv4 address that only looks like an IPv6 one.
  '2002::/16',
  '3fff::/20',
]);

/** What is given out to anybody at all. */
const PUBLIC_6 = listOf(['2000::/3']);

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/', 2);
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
