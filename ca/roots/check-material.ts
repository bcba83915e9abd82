import type { KeyObject, X509Certificate } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { decodeCertificates } from '../../src/pki/certificate-pem.ts';
import { decodePrivateKey } from '../../src/pki/keys.ts';
import type { CaFile, CaFiles } from './ca-files.ts';
import { caMaterial, type CaMaterial } from './ca-material.ts';
import { findPaths, issued, readCaCertificate, same, type CaCertificate } from './certificate-path.ts';

/** Below this it is said at each start: a month is what a person needs to have a CA certificate renewed. Ms. */
const SOON = 30 * 86_400_000;

export interface MaterialCheck {
  readonly files: CaFiles;
  readonly trustDomain: TrustDomain;
  /** Wall time in milliseconds. */
  readonly now: number;
  readonly logger: Logger;
}

/**
 * Judges the files of a CA before anything is signed with them.
 *
 * @throws SealwrightError `ca_file_malformed`, `ca_key_mismatch`, `ca_certificate_unfit`, `ca_certificate_expired`,
 *   `ca_certificate_not_yet_valid`, `ca_chain_broken`, `ca_trust_domain_differs`: each names the file
 */
export function checkMaterial({ files, trustDomain, now, logger }: MaterialCheck): CaMaterial {
  const [certificate, ...following] = read(files.certificate);
  if (certificate === undefined) throw malformed(files.certificate.path, 'it holds no certificate');
  const chain = files.chain === undefined ? [] : read(files.chain);
  const roots = distinct(read(files.roots));
  if (roots.length === 0) throw malformed(files.roots.path, 'it holds no certificate');
  const privateKey = readKey(files.key, certificate);

  checkTrustDomain(certificate, trustDomain);
  for (const root of roots) checkRoot(root, now, logger);
  const path = firstGoodPath(findPaths({ from: certificate, intermediates: [...following, ...chain], roots }), now);
  if (path === undefined) {
    const { issuer } = certificate.facts;
    throw new SealwrightError('ca_chain_broken', { path: certificate.path, issuer, roots: files.roots.path });
  }

  const notAfter = Math.min(...path.map(({ facts }) => facts.notAfter));
  if (notAfter - now < SOON) {
    logger.warn('the CA ends soon', { path: certificate.path, notAfter: new Date(notAfter).toISOString() });
  }
  return caMaterial({
    trustDomain,
    certificate: certificate.der,
    privateKey,
    chain: path.slice(0, -1).map(({ der }) => der),
    roots: roots.map(({ der }) => der),
    selfSigned: path.length === 1,
    notAfter,
  });
}

function read({ path, text }: CaFile): CaCertificate[] {
  try {
    return decodeCertificates(text).map((der) => readCaCertificate(der, path));
  } catch (error) {
    if (!(error instanceof SealwrightError)) throw error;
    throw malformed(path, reasonOf(error), error);
  }
}

function readKey({ path, text }: CaFile, certificate: CaCertificate): KeyObject {
  let privateKey: KeyObject;
  try {
    privateKey = decodePrivateKey(text).privateKey;
  } catch (error) {
    if (!(error instanceof SealwrightError)) throw error;
    throw malformed(path, reasonOf(error), error);
  }
  if (!certificate.x509.checkPrivateKey(privateKey)) {
    throw new SealwrightError('ca_key_mismatch', { key: path, certificate: certificate.path });
  }
  return privateKey;
}

/** The path on which every certificate is fit; where none is, the reason against the shortest. */
function firstGoodPath(paths: readonly CaCertificate[][], now: number): CaCertificate[] | undefined {
  let first: unknown;
  for (const path of paths) {
    try {
      for (const [position, certificate] of path.entries()) {
        checkAuthority(certificate, { below: position, anchor: position > 0 && position === path.length - 1 });
        checkValidity(certificate, now);
      }
      return path;
    } catch (error) {
      first ??= error;
    }
  }
  if (first !== undefined) throw first;
  return undefined;
}

interface Position {
  /** How many intermediates stand between this certificate and a leaf. */
  readonly below: number;
  /** Whether this is the root above the CA certificate, and not what signs leaves. */
  readonly anchor: boolean;
}

function checkAuthority({ facts, path, x509 }: CaCertificate, { below, anchor }: Position): void {
  const refuse = (reason: string): never => {
    throw new SealwrightError('ca_certificate_unfit', { path, subject: facts.subject, reason });
  };
  if (!facts.ca) refuse('it is not a CA (basicConstraints)');
  // X509-SVID 4.3 wants the extension on every signing certificate. Roots that `openssl req -x509` makes have none, and
  // RFC 5280 6.1.4 lets one that is absent pass; what is there must allow it.
  const usages = facts.keyUsages ?? (anchor ? ['keyCertSign'] : []);
  if (!usages.includes('keyCertSign')) refuse('it lacks keyCertSign');
  if (facts.pathLength !== undefined && facts.pathLength < below) {
    refuse(`its path length of ${facts.pathLength} allows no chain of ${below} intermediates below it`);
  }
  if (/SHA-1|MD5/i.test(facts.signatureAlgorithm) && !selfIssued(x509)) refuse('it is signed with SHA-1 or MD5');
}

/** A root's own signature is checked by nobody: it is trusted by being in the bundle. */
function selfIssued({ subject, issuer }: X509Certificate): boolean {
  return subject === issuer;
}

function checkValidity({ facts, path }: CaCertificate, now: number): void {
  const times = { path, subject: facts.subject, now: new Date(now).toISOString() };
  if (now >= facts.notAfter) {
    throw new SealwrightError('ca_certificate_expired', { ...times, notAfter: new Date(facts.notAfter).toISOString() });
  }
  if (now < facts.notBefore) {
    const notBefore = new Date(facts.notBefore).toISOString();
    throw new SealwrightError('ca_certificate_not_yet_valid', { ...times, notBefore });
  }
}

/**
 * A certificate without a SPIFFE ID is taken, as most plugged-in ones have none; one that names something else is not
 * (X509-SVID 3.2). Certificates above it may belong to another trust domain.
 */
function checkTrustDomain({ facts, path }: CaCertificate, trustDomain: TrustDomain): void {
  const got = facts.subjectAltNames.filter((name) => name.startsWith('URI:')).map((name) => name.slice('URI:'.length));
  const wanted = `spiffe://${trustDomain}`;
  if (got.every((name) => name === wanted) && got.length <= 1) return;
  throw new SealwrightError('ca_trust_domain_differs', { path, wanted, got: got.join(' ').slice(0, 300) });
}

/** What is in the bundle must be able to be a root; one that is on no path may have expired, which is said. */
function checkRoot(root: CaCertificate, now: number, logger: Logger): void {
  const { facts, path } = root;
  if (!facts.ca || !issued(root, root)) {
    // OpenSSL ends a path at self-signed certificates only, so that each peer built on it would refuse every handshake.
    const reason = facts.ca ? 'it is in the bundle but not self-signed' : 'it is in the bundle but not a CA';
    throw new SealwrightError('ca_certificate_unfit', { path, subject: facts.subject, reason });
  }
  if (now >= facts.notAfter) {
    logger.warn('a root of the bundle has expired', { path, subject: facts.subject, fingerprint: facts.fingerprint });
  }
}

function distinct(certificates: readonly CaCertificate[]): CaCertificate[] {
  return certificates.filter((one, index) => certificates.findIndex((other) => same(one, other)) === index);
}

function malformed(path: string, reason: string, cause?: SealwrightError): SealwrightError {
  return new SealwrightError('ca_file_malformed', { path, reason }, cause === undefined ? undefined : { cause });
}

function reasonOf({ fields, message }: SealwrightError): string {
  const { reason = message, block } = fields;
  return block === undefined ? String(reason) : `block ${block}: ${reason}`;
}
