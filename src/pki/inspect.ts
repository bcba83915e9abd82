import type { X509Certificate } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import type { Issue } from '../core/issue.ts';
import type { CertificateFacts } from './certificate-facts.ts';
import { decodeCertificates, readCertificate } from './certificate-pem.ts';
import { certificateIssues } from './inspect-issues.ts';
import { x509 } from './x509-library.ts';

/** What `sealwright cert inspect` shows and `-o json` prints. */
export interface CertificateDescription extends CertificateFacts {
  /** What a person should know about it now: expiry, and what keeps it from being an SVID. */
  readonly warnings: readonly Issue[];
}

/**
 * Describes one certificate, given as DER or as PEM.
 *
 * @param now wall time in milliseconds, for the warnings
 * @throws SealwrightError `certificate_unreadable`
 */
export function describeCertificate(certificate: Buffer | string, now: number): CertificateDescription {
  const [der, second] = typeof certificate === 'string' ? decodeCertificates(certificate) : [certificate];
  if (der === undefined) throw new SealwrightError('certificate_unreadable', { reason: 'the text holds no PEM block' });
  if (second !== undefined) {
    throw new SealwrightError('certificate_unreadable', { reason: 'the text holds more than one certificate' });
  }
  const facts = readFacts(readCertificate(der));
  return { ...facts, warnings: certificateIssues(facts, now) };
}

const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;

const EXTENDED_KEY_USAGES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(x509.ExtendedKeyUsage).map(([name, oid]) => [oid, name]),
);

function readFacts(certificate: X509Certificate): CertificateFacts {
  try {
    return factsOf(certificate, new x509.X509Certificate(certificate.raw));
  } catch (cause) {
    throw new SealwrightError('certificate_unreadable', { reason: 'an extension is malformed' }, { cause });
  }
}

function factsOf(certificate: X509Certificate, parsed: x509.X509Certificate): CertificateFacts {
  const keyUsage = parsed.getExtension(x509.KeyUsagesExtension);
  const extendedKeyUsage = parsed.getExtension(x509.ExtendedKeyUsageExtension);
  const constraints = parsed.getExtension(x509.BasicConstraintsExtension);
  const subjectAltNames = splitNames(certificate.subjectAltName ?? '');
  const uris = subjectAltNames.filter((name) => name.startsWith('URI:'));
  const [uri = ''] = uris;
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber.toLowerCase().replace(/^0+(?=.)/, ''),
    subjectAltNames,
    spiffeId: uris.length === 1 && uri.startsWith('URI:spiffe://') ? uri.slice('URI:'.length) : undefined,
    notBefore: parsed.notBefore.getTime(),
    notAfter: parsed.notAfter.getTime(),
    key: keyText(certificate),
    signatureAlgorithm: [nameOf(parsed.signatureAlgorithm), nameOf(parsed.signatureAlgorithm.hash)].join(' ').trim(),
    keyUsages: keyUsage === null ? undefined : KEY_USAGES.filter((_, bit) => (keyUsage.usages & (1 << bit)) !== 0),
    extendedKeyUsages:
      extendedKeyUsage === null
        ? undefined
        : [...extendedKeyUsage.usages].map((oid) => EXTENDED_KEY_USAGES[String(oid)] ?? String(oid)),
    ca: constraints?.ca ?? false,
    pathLength: constraints?.pathLength,
    subjectKeyId: parsed.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId.toLowerCase(),
    authorityKeyId: parsed.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId?.toLowerCase(),
    criticalExtensions: [...parsed.extensions].filter(({ critical }) => critical).map(({ type }) => type),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

/** Node writes one part of a name a line. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ');
}

function keyText({ publicKey }: X509Certificate): string {
  const { namedCurve, modulusLength } = publicKey.asymmetricKeyDetails ?? {};
  const type = publicKey.asymmetricKeyType ?? 'unknown';
  if (type === 'ec') return `EC ${namedCurve ?? 'unnamed curve'}`;
  if (type === 'rsa') return `RSA ${modulusLength ?? 0}`;
  return type === 'ed25519' ? 'Ed25519' : type;
}

/** WebCrypto writes an algorithm as its name or as an object with a name. */
function nameOf(algorithm: unknown): string {
  if (typeof algorithm === 'string') return algorithm;
  const named = typeof algorithm === 'object' && algorithm !== null && 'name' in algorithm ? algorithm.name : '';
  return typeof named === 'string' ? named : '';
}

/**
 * Splits Node's text of the names. It quotes each value that holds a comma or a quote, so that a name cannot pass for
 * two; @peculiar/x509, which would give them one by one, silently drops those that it does not know.
 */
function splitNames(text: string): string[] {
  return [...text.matchAll(/(?:^|, )([^:,]+:(?:"(?:[^"\\]|\\.)*"|[^",]*))/g)].map(([, name = '']) => name);
}
