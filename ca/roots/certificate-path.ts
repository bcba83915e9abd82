import type { X509Certificate } from 'node:crypto';
import { readCertificate } from '../../src/pki/certificate-pem.ts';
import { describeCertificate, type CertificateDescription } from '../../src/pki/inspect.ts';

/** One certificate of the CA, and the file that it came from. */
export interface CaCertificate {
  readonly der: Buffer;
  readonly path: string;
  readonly facts: CertificateDescription;
  readonly x509: X509Certificate;
}

/**
 * Reads one certificate for the building of paths.
 *
 * @throws SealwrightError `certificate_unreadable`
 */
export function readCaCertificate(der: Buffer, path: string): CaCertificate {
  // The time only matters for warnings, which are not used here: each check has its own error with its own remedy.
  return { der, path, facts: describeCertificate(der, 0), x509: readCertificate(der) };
}

/** No hierarchy of the field is deeper; also bounds the search below. */
const LONGEST_PATH = 6;

/** Cross-signing gives a handful of paths; a bundle made to give more gets no more work out of the CA. */
const MOST_PATHS = 16;
const MOST_SIGNATURES = 500;

export interface PathSearch {
  readonly from: CaCertificate;
  readonly intermediates: readonly CaCertificate[];
  readonly roots: readonly CaCertificate[];
}

/**
 * Every path of signatures from a certificate to a root, the certificate first and the root last, shorter ones first.
 * A certificate that is itself a root is the whole path. Says nothing about whether the certificates are fit.
 */
export function findPaths({ from, intermediates, roots }: PathSearch): CaCertificate[][] {
  const paths: CaCertificate[][] = [];
  let signatures = 0;
  const walk = (path: readonly CaCertificate[], last: CaCertificate): void => {
    const root = roots.find((candidate) => same(candidate, last));
    if (root !== undefined) {
      paths.push([...path.slice(0, -1), root]);
      return;
    }
    if (path.length >= LONGEST_PATH) return;
    for (const issuer of [...roots, ...intermediates]) {
      if (paths.length >= MOST_PATHS || signatures >= MOST_SIGNATURES) return;
      if (last.facts.issuer !== issuer.facts.subject || path.some((used) => same(used, issuer))) continue;
      signatures += 1;
      if (issued(issuer, last)) walk([...path, issuer], issuer);
    }
  };
  walk([from], from);
  return paths.sort((a, b) => a.length - b.length);
}

export function same(a: CaCertificate, b: CaCertificate): boolean {
  return a.der.equals(b.der);
}

/** Whether the names chain and the signature verifies. Key usage and the like are judged apart, to be named apart. */
export function issued(issuer: CaCertificate, subject: CaCertificate): boolean {
  return subject.facts.issuer === issuer.facts.subject && subject.x509.verify(issuer.x509.publicKey);
}
