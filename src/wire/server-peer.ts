import type { Socket } from 'node:net';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** The other end of one connection, read once when the connection was accepted. */
export interface ServerPeer {
  readonly transport: 'tls' | 'unix';
  /** Empty for a Unix socket. */
  readonly remoteAddress: string;
  /** 0 for a Unix socket. */
  readonly remotePort: number;
  /**
   * The certificates that TLS authorized (DER, leaf first, each followed by its issuer up to the root).
   * Undefined when the client gave none. A chain that TLS did not authorize never gets here (its connection is closed).
   * OpenSSL's verdict is necessary, not sufficient: whoever takes an identity from it verifies it as an SVID first.
   */
  readonly chain: readonly Buffer[] | undefined;
}

/** No sensible chain is longer; the bound also ends a walk round issuers that name each other. */
const LONGEST_CHAIN = 16;

/** The chain that OpenSSL built, up to the root. Says nothing until the connection is authorized. */
export function builtChain(socket: TLSSocket): readonly Buffer[] {
  const chain: Buffer[] = [];
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (certificate?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(certificate.raw);
    // A self-signed certificate is its own issuer.
    if (certificate.issuerCertificate === certificate) break;
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

export function tlsPeer(socket: TLSSocket, chain: readonly Buffer[] | undefined): ServerPeer {
  return {
    transport: 'tls',
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    chain,
  };
}

export const UNIX_PEER: ServerPeer = { transport: 'unix', remoteAddress: '', remotePort: 0, chain: undefined };

/** What tells one live TCP connection from every other in this process. Undefined once it is closed. */
export function connectionKey(socket: Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
