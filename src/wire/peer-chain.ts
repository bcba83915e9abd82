import type { Server, TLSSocket } from 'node:tls';

/** The certificates of a connection's peer as DER, leaf first. */
export type ReadChain = (socket: TLSSocket) => readonly Buffer[];

/**
 * Whether this Node takes the peer's intermediates away before it tells of the connection: in 26.8 and 24.21 its own
 * `secure` listener calls `getPeerX509Certificate`, which empties OpenSSL's list (nodejs/node#65579; mended in 26.10).
 * Versions that are not known to be right count as wrong, since what is done about it harms none of them.
 */
export function takesChainsAway(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < 26 || (major === 26 && minor < 10);
}

/**
 * How to read the chains of a server's connections. To be called before the first of them, once a server.
 *
 * @param read takes the chain from the socket; is called once a connection where Node must be forestalled
 */
export function chainReader(server: Server, read: ReadChain, nodeVersion = process.versions.node): ReadChain {
  if (!takesChainsAway(nodeVersion)) return read;
  const met = new WeakSet<TLSSocket>();
  const kept = new WeakMap<TLSSocket, readonly Buffer[]>();
  // A server shows its socket before the end of the handshake by this event alone. The secrets that it carries are not
  // looked at; `secure` is where Node's own listener would come first.
  server.on('keylog', (_secrets, socket) => {
    if (met.has(socket)) return;
    met.add(socket);
    socket.prependOnceListener('secure', () => kept.set(socket, read(socket)));
  });
  return (socket) => kept.get(socket) ?? read(socket);
}

/** Ten is more than any path length in use; a chain that loops must end. */
const LONGEST_CHAIN = 10;

/** The chain as the peer sent it. Read it once a connection: Node before 26.10 answers a second question with less. */
export function sentChain(socket: TLSSocket): readonly Buffer[] {
  const chain: Buffer[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}
