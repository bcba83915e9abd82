export type IpFamily = 'IPv4' | 'IPv6';

/** What differs between the rules of the two families. */
export const FAMILIES = {
  IPv4: { loopback: '127.0.0.1/32', passthrough: '127.0.0.6/32', prefix: 'iptables', flag: '-4' },
  IPv6: { loopback: '::1/128', passthrough: '::6/128', prefix: 'ip6tables', flag: '-6' },
} as const;
