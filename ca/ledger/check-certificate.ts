import { hash, X509Certificate } from 'node:crypto';
import type { IssuanceEntry } from './entry.ts';

/**
 * Says in what a recorded certificate is not what its entry says: nothing, where they agree. Reads the certificate by
 * OpenSSL, that is, with none of the code that made it.
 */
export function disagreementsOf(entry: IssuanceEntry): string[] {
  let certificate: X509Certificate;
  let spki: Buffer;
  try {
    certificate = new X509Certificate(entry.certificate);
    spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  } catch {
    return ['the certificate cannot be parsed'];
  }
  const found: string[] = [];
  const claim = (holds: boolean, otherwise: string): void => {
    if (!holds) found.push(otherwise);
  };
  // As numbers: the texts differ in leading zeros and case.
  claim(
    BigInt(`0x${certificate.serialNumber}`) === BigInt(`0x${entry.serial}`),
    `the certificate's serial is ${certificate.serialNumber.toLowerCase()}, the entry's ${entry.serial}`,
  );
  claim(namesExactly(certificate, entry), `the certificate names ${certificate.subjectAltName ?? 'nobody'}`);
  claim(certificate.validFromDate.getTime() === entry.notBefore, 'notBefore is another');
  claim(certificate.validToDate.getTime() === entry.notAfter, 'notAfter is another');
  claim(hash('sha256', spki) === entry.spkiSha256, 'the public key is another');
  claim(!certificate.ca, 'the certificate is a certificate authority');
  return found;
}

/** Invariant 1: the identity, our own server's names where the entry has them, and nothing else. */
function namesExactly(certificate: X509Certificate, { identity, serverNames = [] }: IssuanceEntry): boolean {
  const names = (certificate.subjectAltName ?? '').split(', ');
  const uris = names.filter((name) => name.startsWith('URI:'));
  return (
    names.length === serverNames.length + 1 &&
    uris.length === 1 &&
    uris[0] === `URI:${String(identity)}` &&
    serverNames.every((name) =>
      name.startsWith('IP:') ? certificate.checkIP(name.slice('IP:'.length)) !== undefined : names.includes(name),
    )
  );
}
