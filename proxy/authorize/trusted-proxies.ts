import { contains, parseIpRange, type IpRange } from '../../src/policy/ip-range.ts';
import { parseIpAddress, type IpAddress } from '../../src/policy/ip-address.ts';

/** The proxies whose word about the client before them counts, and nobody else's (invariant 6). */
export interface TrustedProxies {
  /** Whether the direct peer is one, by its address or by its proven identity. */
  trusts(peer: { readonly address: IpAddress; readonly identity: string | undefined }): boolean;
  /**
   * The client that `X-Forwarded-For` names: from its end backwards, the first that is no trusted proxy itself. Every
   * proxy appends whom it saw, so what stands before that was written by the client and counts for nothing. Undefined
   * where the field names nobody.
   */
  clientOf(forwardedFor: string | undefined): IpAddress | undefined;
}

/** @param listed addresses, CIDR ranges and SPIFFE IDs, as `trustedProxies` of the mesh settings has them */
export function createTrustedProxies(listed: readonly string[]): TrustedProxies {
  const ranges: IpRange[] = [];
  const identities = new Set<string>();
  for (const entry of listed) {
    if (entry.startsWith('spiffe://')) identities.add(entry);
    else {
      const range = parseIpRange(entry);
      if (range !== undefined) ranges.push(range);
    }
  }
  const isListed = (address: IpAddress): boolean => ranges.some((range) => contains(range, address));
  return {
    trusts: ({ address, identity }) => isListed(address) || (identity !== undefined && identities.has(identity)),
    clientOf: (forwardedFor) => {
      let last: IpAddress | undefined;
      for (const hop of (forwardedFor ?? '').split(',').toReversed()) {
        const address = parseIpAddress(hop.trim());
        // Beyond what cannot be read, nothing can be known.
        if (address === undefined) return last;
        if (!isListed(address)) return address;
        last = address;
      }
      return last;
    },
  };
}
