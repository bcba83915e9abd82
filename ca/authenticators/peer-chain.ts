import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** More than any chain of ours, which has a leaf and at most a few intermediates. */
const LONGEST_CHAIN = 8;

/**
 * The certificates that the peer of a server's socket has presented, as DER, leaf first and without the root.
 *
 * Undefined where TLS has not authorized them: the server asks for a certificate without insisting on one, so a
 * self-signed certificate gets this far too, whatever identity it names. To be authorized is necessary and not
 * sufficient: what comes out is judged again, by the bundle of its own trust domain.
 */
export function authorizedPeerChain(
  socket: Pick<TLSSocket, 'authorized' | 'getPeerCertificate'>,
): Buffer[] | undefined {
  if (!socket.authorized) return undefined;
  const chain: Buffer[] = [];
  // A server without a certificate of its peer answers an empty object, whatever its type says.
  let certificate: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (certificate?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    const issuer: Partial<DetailedPeerCertificate> | undefined = certificate.issuerCertificate;
    // A root is its own issuer; on a resumed session there is only the leaf, without any.
    if (issuer === certificate && chain.length > 0) break;
    chain.push(certificate.raw);
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain.length === 0 ? undefined : chain;
}
