import { SealwrightError } from '../core/errors.ts';
import { decodeCertificates } from '../pki/certificate-pem.ts';

/** The certificates of a file as DER: all of a PEM text, or the one of a DER file. */
export function splitCertificates(file: Buffer): Buffer[] {
  // A DER certificate begins with a SEQUENCE, which no text does.
  const certificates = file[0] === 0x30 ? [file] : decodeCertificates(file.toString('utf8'));
  if (certificates.length === 0) {
    throw new SealwrightError('certificate_unreadable', { reason: 'there is no certificate in it, as PEM or as DER' });
  }
  return certificates;
}
