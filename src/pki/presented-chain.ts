import { X509Certificate } from 'node:crypto';
import { decodePem, encodePem } from './pem.ts';

/**
 * The chain to present in TLS: as it is, and with its issuer behind it where it is a leaf alone.
 *
 * To a leaf alone OpenSSL looks for an issuer among the roots, at each handshake and with a whole verification, and sends it
 * along. Given the same certificates it sends the same and looks for nothing (measured: about 50 µs less of a handshake).
 * Peers judge by roots of their own, whatever is sent.
 *
 * @param chainPem leaf first
 */
export function presentedChain(chainPem: string, rootsPem: string): string {
  const [leaf, ...others] = decodePem(chainPem, 'CERTIFICATE');
  if (leaf === undefined || others.length > 0) return chainPem;
  const certificate = new X509Certificate(leaf);
  const issuer = decodePem(rootsPem, 'CERTIFICATE').find((der) => {
    const root = new X509Certificate(der);
    return certificate.checkIssued(root) && certificate.verify(root.publicKey);
  });
  return issuer === undefined ? chainPem : `${chainPem.trimEnd()}\n${encodePem('CERTIFICATE', issuer)}`;
}
