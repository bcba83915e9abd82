import type { KeyObject } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import { checkIssued } from '../../src/pki/check-issued.ts';
import { lintTbs, type LintExpectation } from '../../src/pki/lint.ts';
import { assembleCertificate } from '../../src/pki/profile.ts';
import type { Issuer } from './issuer.ts';

export interface CertificateToSign {
  readonly tbs: Buffer;
  /** What the lint holds the bytes against before they are signed. */
  readonly expected: LintExpectation & { readonly serial: Buffer };
  /** As OpenSSL prints the names: see `opensslNames`. */
  readonly subjectAltName: string;
  readonly publicKey: KeyObject;
  readonly issuer: Issuer;
}

/**
 * The one way to a signature of the CA: lint what is to be signed, sign, and check the result by other code.
 *
 * @returns the certificate, DER
 * @throws SealwrightError `issuance_lint`, `issued_certificate_wrong`: the CA itself is at fault
 */
export function signCertificate({ tbs, expected, subjectAltName, publicKey, issuer }: CertificateToSign): Buffer {
  const finding = lintTbs(tbs, expected)[0];
  if (finding !== undefined) throw new SealwrightError('issuance_lint', { rule: finding.code, found: finding.message });
  const certificate = assembleCertificate(tbs, issuer.template.signatureAlgorithm, issuer.signer.sign(tbs));
  const { serial, notBefore, notAfter } = expected;
  // By OpenSSL's reading and not by ours: a fault in one is not repeated in the other.
  checkIssued(certificate, { serial, notBefore, notAfter, subjectAltName, publicKey, issuerKey: issuer.publicKey });
  return certificate;
}
