/** Where an application can be reached around its sidecar. */
export interface ExposedPort {
  /** As `/proc/net/tcp` has it: hexadecimal, in the machine's byte order. */
  readonly address: string;
  readonly port: number;
}

/** TCP_LISTEN of Linux' include/net/tcp_states.h. */
const LISTEN = '0A';

/**
 * Finds programs that listen at one of these ports at an address beyond loopback: nobody who comes that way is
 * authenticated or judged.
 *
 * @param tables the text of `/proc/net/tcp` and `/proc/net/tcp6`
 */
export function exposedPorts(tables: string, ports: ReadonlySet<number>): ExposedPort[] {
  return tables.split('\n').flatMap((line): ExposedPort[] => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [address = '', hex = ''] = local.split(':');
    const port = Number.parseInt(hex, 16);
    return state === LISTEN && ports.has(port) && !isLoopback(address) ? [{ address, port }] : [];
  });
}

/** 127.0.0.0/8, `::1`, and the former mapped into IPv6, each word in little-endian order. */
function isLoopback(hex: string): boolean {
  if (hex.length === 8) return hex.endsWith('7F');
  return hex === '00000000000000000000000001000000' || /^0{16}FFFF0000[0-9A-F]{6}7F$/.test(hex);
}
