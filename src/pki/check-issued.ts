import { type KeyObject, X509Certificate } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { octetsOfAddress, textOfAddress } from './general-name.ts';
import { isSameKey } from './same-key.ts';
import type { Validity } from './validity.ts';

/** What a certificate that was just signed must be. */
export interface IssuedExpectation extends Validity {
  /** The names as OpenSSL prints them: see `opensslNames`. */
  readonly subjectAltName: string;
  readonly publicKey: KeyObject;
  readonly issuerKey: KeyObject;
  /** Content octets. */
  readonly serial: Buffer;
}

/**
 * The last look before a certificate leaves: by OpenSSL's reading of it and not by ours, so that one mistake in our
 * writer and the same one in our reader cannot pass. It holds the signature, too, against what faulty hardware makes.
 * About 0.1 ms, half of it the signature.
 *
 * @throws SealwrightError `issued_certificate_wrong` with what is wrong
 */
export function checkIssued(der: Buffer, expected: IssuedExpectation): void {
  const certificate = read(der);
  if (!isSameKey(certificate.publicKey, expected.publicKey)) wrong('it carries another key');
  if (certificate.subjectAltName !== expected.subjectAltName) {
    wrong('it names somebody else', certificate.subjectAltName?.slice(0, 500));
  }
  if (certificate.subject !== undefined) wrong('it has a subject', certificate.subject);
  if (certificate.ca) wrong('it is the certificate of a CA');
  if (certificate.serialNumber.toLowerCase() !== expected.serial.toString('hex').replace(/^(00)+/, '')) {
    wrong('it has another serial number', certificate.serialNumber);
  }
  if (Date.parse(certificate.validFrom) !== expected.notBefore)
    wrong('it begins at another time', certificate.validFrom);
  if (Date.parse(certificate.validTo) !== expected.notAfter) wrong('it ends at another time', certificate.validTo);
  if (!certificate.verify(expected.issuerKey)) wrong('its signature does not hold');
}

/** The names of a profile as OpenSSL prints them: an identity or a DNS name has no character that it would quote. */
export function opensslNames(names: {
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly identity?: SpiffeId | undefined;
}): string {
  const addresses = (names.ipAddresses ?? []).map((text) => {
    const octets = octetsOfAddress(text);
    return octets === undefined ? text : textOfAddress(octets).toUpperCase();
  });
  return [
    ...(names.dnsNames ?? []).map((name) => `DNS:${name}`),
    ...addresses.map((address) => `IP Address:${address}`),
    ...(names.identity === undefined ? [] : [`URI:${names.identity.toString()}`]),
  ].join(', ');
}

function read(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new SealwrightError('issued_certificate_wrong', { reason: 'OpenSSL cannot read it' }, { cause });
  }
}

function wrong(reason: string, got?: string): never {
  throw new SealwrightError('issued_certificate_wrong', { reason, got });
}
