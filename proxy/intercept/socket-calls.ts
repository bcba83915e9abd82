/**
 * The few calls of the C library that interception needs and Node does not have. An interface, so that what makes them
 * (koffi now, perhaps `node:ffi` later) can be replaced. Each throws `SealwrightError interception_refused` with the
 * name of the call and its errno.
 */
export interface SocketCalls {
  /** The value of a socket option, at most `size` bytes of it; undefined where the kernel has none for this socket. */
  getOption(fd: number, option: SocketOption, size: number): Buffer | undefined;
  /** Sets an option whose value is an int. */
  setOption(fd: number, option: SocketOption, value: number): void;
  /** A new TCP socket that does not outlive an exec, its descriptor. */
  openTcp(family: 'IPv4' | 'IPv6'): number;
  bind(fd: number, place: { readonly address: string; readonly port: number }): void;
  close(fd: number): void;
}

export interface SocketOption {
  /** For messages. */
  readonly name: string;
  readonly level: number;
  readonly number: number;
}

const SOL_SOCKET = 1;
const SOL_IP = 0;
const SOL_IPV6 = 41;

/** Linux' numbers, the same on all its architectures that Node runs on (include/uapi/linux). */
export const OPTIONS = {
  /** netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h. */
  originalDestination: { name: 'SO_ORIGINAL_DST', level: SOL_IP, number: 80 },
  originalDestination6: { name: 'IP6T_SO_ORIGINAL_DST', level: SOL_IPV6, number: 80 },
  /** Lets a socket have addresses that are another machine's: in.h and in6.h. */
  transparent: { name: 'IP_TRANSPARENT', level: SOL_IP, number: 19 },
  transparent6: { name: 'IPV6_TRANSPARENT', level: SOL_IPV6, number: 75 },
  only6: { name: 'IPV6_V6ONLY', level: SOL_IPV6, number: 26 },
  reuseAddress: { name: 'SO_REUSEADDR', level: SOL_SOCKET, number: 2 },
  reusePort: { name: 'SO_REUSEPORT', level: SOL_SOCKET, number: 15 },
  mark: { name: 'SO_MARK', level: SOL_SOCKET, number: 36 },
} as const satisfies Record<string, SocketOption>;
