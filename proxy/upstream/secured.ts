import type { TLSSocket } from 'node:tls';

/** How a connection is protected, as this side sees it. */
export interface Secured {
  /** `TLSv1.3` or `TLSv1.2`. */
  readonly version: string;
  /** The group of the key exchange by its IANA name, such as `X25519MLKEM768`. */
  readonly group: string;
  readonly resumed: boolean;
}

/** By IANA's names. OpenSSL has two more for one curve, depending on how it is asked. */
const GROUP_NAMES: Readonly<Record<string, string>> = {
  x25519: 'x25519',
  X25519: 'x25519',
  x448: 'x448',
  X448: 'x448',
  prime256v1: 'secp256r1',
};

/**
 * What a client's handshake came to. Node tells the group to clients alone (`getEphemeralKeyInfo`): a server's side of the
 * same connection has to be asked on the other end.
 */
export function clientSecured(socket: TLSSocket): Secured {
  const info: object | null = socket.getEphemeralKeyInfo();
  const name = info !== null && 'name' in info && typeof info.name === 'string' ? info.name : 'unknown';
  return {
    version: socket.getProtocol() ?? 'unknown',
    group: GROUP_NAMES[name] ?? name,
    resumed: socket.isSessionReused(),
  };
}
