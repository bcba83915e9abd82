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
