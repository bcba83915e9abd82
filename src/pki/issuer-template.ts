import { SealwrightError } from '../core/errors.ts';
import { parseCertificate } from './certificate.ts';
import { boolean, implicit, octetString, oid, sequence } from './der/writer.ts';
import { isEmptyName } from './distinguished-name.ts';
import { KEY_USAGE } from './extensions.ts';
import { OID } from './oids.ts';
import { encodeAlgorithmIdentifier } from './signature-algorithm.ts';
import type { Signer } from './signer.ts';

/** What every certificate of one issuer has in common, prepared once. */
export interface IssuerTemplate {
  /** The issuer's name, DER. */
  readonly subject: Buffer;
  /** The issuer's own key, DER: no leaf may carry it. */
  readonly spki: Buffer;
  /** AlgorithmIdentifier of its signatures, DER. */
  readonly signatureAlgorithm: Buffer;
  /** The subject key identifier of the issuer, which becomes the authority key identifier of what it issues. */
  readonly keyIdentifier: Buffer;
  /** The whole authorityKeyIdentifier extension, DER. */
  readonly authorityKeyIdentifier: Buffer;
  /** Milliseconds; nothing is issued that is valid outside. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Prepares an issuer from its certificate and the signer that holds its key.
 *
 * @throws SealwrightError `certificate_invalid`, `issuer_unfit`
 */
export function createIssuerTemplate(certificate: Buffer, signer: Signer): IssuerTemplate {
  const issuer = parseCertificate(certificate);
  const { basicConstraints, keyUsage, subjectKeyIdentifier } = issuer.extensions;
  const unfit = (reason: string): never => {
    throw new SealwrightError('issuer_unfit', { serial: issuer.serial, reason });
  };
  if (!issuer.spki.equals(signer.spki)) unfit('the key that signs is not the one in the certificate');
  if (basicConstraints?.ca !== true) unfit('it is not the certificate of a CA');
  if (keyUsage === undefined || (keyUsage.bits & KEY_USAGE.keyCertSign) === 0) unfit('it may not sign certificates');
  if (isEmptyName(issuer.subject)) unfit('its subject is empty');
  const keyIdentifier = subjectKeyIdentifier?.id ?? unfit('it has no subject key identifier');
  return Object.freeze({
    subject: issuer.subject,
    spki: issuer.spki,
    signatureAlgorithm: encodeAlgorithmIdentifier(signer.algorithm),
    keyIdentifier,
    // RFC 5280 4.2.1.1: never critical; the key identifier alone.
    authorityKeyIdentifier: encodeExtension(OID.authorityKeyIdentifier, sequence(implicit(0, keyIdentifier))),
    notBefore: issuer.notBefore,
    notAfter: issuer.notAfter,
  });
}

/** One Extension (RFC 5280 4.2). A `critical` of false is the default, and defaults are not written (X.690 11.5). */
export function encodeExtension(name: string, value: Buffer, { critical = false } = {}): Buffer {
  return critical ? sequence(oid(name), boolean(true), octetString(value)) : sequence(oid(name), octetString(value));
}
