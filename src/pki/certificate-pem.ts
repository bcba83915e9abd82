import { X509Certificate } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import { encodePem } from './pem.ts';

/** One block after another; `end` is missing where the text stops inside a block. */
const BLOCK = /-----BEGIN ([^\n\r-]*)-----(?:([^-]*)-----END \1-----)?/g;

/** What is left of a BEGIN or END line that somebody edited: a block that would be skipped as explanation. */
const BOUNDARY_LIKE = /-{4}|(?:BEGIN|END) CERT/;

/** Base64 in lines of any length; OpenSSL itself would stop at the first stray character and drop the rest. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Reads every certificate of a PEM text, in its order. Text between the blocks is taken as explanation (RFC 7468 2)
 * and skipped, as `openssl x509 -text` writes it; everything else that is not a whole certificate is refused, because
 * a root that is silently dropped is found out only at the next rotation.
 *
 * @throws SealwrightError `certificate_unreadable` with the block, counted from 1, and the reason
 */
export function decodeCertificates(pem: string): Buffer[] {
  const blocks = [...pem.matchAll(BLOCK)];
  const refuse = (block: number, reason: string): never => {
    throw new SealwrightError('certificate_unreadable', { block, reason });
  };
  const certificates = blocks.map(([, label = '', body], index) => {
    if (label !== 'CERTIFICATE') return refuse(index + 1, `it is a ${label.slice(0, 64)}, not a CERTIFICATE`);
    if (body === undefined) return refuse(index + 1, 'it does not end with -----END CERTIFICATE-----');
    const base64 = body.replace(/\s/g, '');
    if (base64 === '' || !BASE64.test(base64)) return refuse(index + 1, 'it is not Base64');
    const der = Buffer.from(base64, 'base64');
    readCertificate(der, index + 1);
    return der;
  });
  if (BOUNDARY_LIKE.test(pem.replaceAll(BLOCK, '')))
    return refuse(blocks.length + 1, 'a line of BEGIN or END is broken');
  return certificates;
}

/** Writes certificates as PEM, one after the other. */
export function encodeCertificates(certificates: readonly Buffer[]): string {
  return certificates.map((der) => encodePem('CERTIFICATE', der)).join('');
}

/**
 * One certificate as OpenSSL reads it, and nothing after it.
 *
 * @throws SealwrightError `certificate_unreadable`
 */
export function readCertificate(der: Buffer, block = 1): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(der);
  } catch (cause) {
    throw new SealwrightError('certificate_unreadable', { block, reason: 'it is not an X.509 certificate' }, { cause });
  }
  // OpenSSL reads the first value and ignores what follows it.
  if (!certificate.raw.equals(der)) {
    throw new SealwrightError('certificate_unreadable', { block, reason: 'bytes follow the certificate' });
  }
  return certificate;
}
