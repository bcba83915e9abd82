import type { Socket } from 'node:net';

/** What is known of a downstream connection, once and for all its requests. */
export interface ConnectionFacts {
  /** The peer's identity, from its verified certificate and nothing else (invariant 8); undefined in plaintext. */
  readonly peer: string | undefined;
  /** The peer's certificate as DER. */
  readonly peerCertificate: Buffer | undefined;
  /** Our own identity, where TLS was terminated. */
  readonly self: string | undefined;
  readonly serverName: string;
  readonly alpn: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Where the client wanted to go. */
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

/**
 * Of a connection of which nothing but its addresses is known.
 *
 * @param place where it was going, where somebody knows better than the socket
 */
export function plaintextFacts(
  socket: Socket,
  place: { readonly address: string; readonly port: number } | undefined,
): ConnectionFacts {
  return Object.freeze({
    peer: undefined,
    peerCertificate: undefined,
    self: undefined,
    serverName: '',
    alpn: '',
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    destinationAddress: place?.address ?? socket.localAddress ?? '',
    destinationPort: place?.port ?? socket.localPort ?? 0,
  });
}
