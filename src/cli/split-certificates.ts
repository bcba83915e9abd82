import { decodeCertificates } from '../pki/certificate-pem.ts';

/** The certificates of a file as DER: all of a PEM text, or the one of a DER file. */
export function splitCertificates(file: Buffer): Buffer[] {
  // A DER certificate begins with a SEQUENCE, which no text does.
  return file[0] === 0x30 ? [file] : decodeCertificates(file.toString('utf8'));
}
