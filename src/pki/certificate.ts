import { SealwrightError } from '../core/errors.ts';
import { DerReader } from './der/reader.ts';
import { constructedContext, TAG } from './der/tags.ts';
import { readName } from './distinguished-name.ts';
import { type Extensions, readExtensions } from './extensions.ts';
import { parsePublicKey, type PublicKeyInfo } from './public-key.ts';

/** RFC 5280 4.1.2.2. */
const LONGEST_SERIAL = 20;

/** What a CA signs: the content of a certificate. Every Buffer is DER as it stands in the certificate. */
export interface TbsCertificate {
  /** Lower-case hex of the serial number's octets. */
  readonly serial: string;
  /** AlgorithmIdentifier of the signature that is to be made. */
  readonly signatureAlgorithm: Buffer;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Milliseconds since 1970; the certificate is valid from the beginning of this second … */
  readonly notBefore: number;
  /** … to the end of this one. */
  readonly notAfter: number;
  readonly spki: Buffer;
  readonly extensions: Extensions;
  /** Read when it is first asked for; throws `public_key_unsupported` for kinds that are not known here. */
  readonly key: PublicKeyInfo;
}

/** An X.509 version 3 certificate. */
export interface Certificate extends TbsCertificate {
  readonly der: Buffer;
  /** The signed bytes. */
  readonly tbs: Buffer;
  readonly signature: Buffer;
}

/**
 * Reads an X.509 v3 certificate strictly by RFC 5280 4.1. Versions 1 and 2, unique identifiers, serial numbers that
 * are not positive, and extensions that stand twice are refused.
 *
 * @throws SealwrightError `certificate_invalid` with the reason
 */
export function parseCertificate(der: Buffer): Certificate {
  return refusing(() => {
    const outer = DerReader.over(der);
    const fields = outer.sequence();
    outer.end();
    const start = fields.position;
    const content = readTbs(fields.sequence());
    const tbs = fields.since(start);
    const algorithm = readElement(fields);
    const signature = fields.octetsOfBitString();
    fields.end();
    // RFC 5280 4.1.1.2: what is outside the signature must repeat what is inside it.
    if (!algorithm.equals(content.signatureAlgorithm)) malformed('the two signature algorithms differ');
    return Object.assign(content, { der, tbs, signature });
  });
}

/**
 * Reads the content of a certificate before it is signed.
 *
 * @throws SealwrightError `certificate_invalid` with the reason
 */
export function parseTbs(tbs: Buffer): TbsCertificate {
  return refusing(() => {
    const outer = DerReader.over(tbs);
    const content = readTbs(outer.sequence());
    outer.end();
    return content;
  });
}

class Content implements TbsCertificate {
  readonly serial: string;
  readonly signatureAlgorithm: Buffer;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly spki: Buffer;
  readonly extensions: Extensions;
  #key: PublicKeyInfo | undefined;

  constructor(fields: Omit<TbsCertificate, 'key'>) {
    this.serial = fields.serial;
    this.signatureAlgorithm = fields.signatureAlgorithm;
    this.issuer = fields.issuer;
    this.subject = fields.subject;
    this.notBefore = fields.notBefore;
    this.notAfter = fields.notAfter;
    this.spki = fields.spki;
    this.extensions = fields.extensions;
  }

  get key(): PublicKeyInfo {
    this.#key ??= parsePublicKey(this.spki);
    return this.#key;
  }
}

function readTbs(fields: DerReader): Content {
  if (fields.nextTag !== constructedContext(0)) malformed('it is not of version 3');
  const version = fields.constructed(constructedContext(0));
  if (version.smallInteger() !== 2) malformed('it is not of version 3');
  version.end();
  const serial = readSerial(fields);
  const signatureAlgorithm = readElement(fields);
  const issuer = readName(fields);
  const validity = fields.sequence();
  const notBefore = validity.time();
  const notAfter = validity.time();
  validity.end();
  const subject = readName(fields);
  const spki = readElement(fields);
  // issuerUniqueID [1] and subjectUniqueID [2]: RFC 5280 4.1.2.8 forbids conforming CAs to write them.
  if (fields.nextTag !== constructedContext(3)) malformed('it has no extensions');
  const wrapper = fields.constructed(constructedContext(3));
  const extensions = readExtensions(wrapper);
  wrapper.end();
  fields.end();
  return new Content({ serial, signatureAlgorithm, issuer, subject, notBefore, notAfter, spki, extensions });
}

function readSerial(fields: DerReader): string {
  const octets = fields.integer();
  const first = octets[0] ?? 0;
  if (first >= 0x80 || (first === 0 && octets.length === 1)) malformed('the serial number is not positive');
  if (octets.length > LONGEST_SERIAL) malformed(`the serial number has more than ${LONGEST_SERIAL} octets`);
  return octets.toString('hex');
}

/** A sequence that is judged later, by whoever knows its grammar; its encoding is checked here. */
function readElement(fields: DerReader): Buffer {
  const start = fields.position;
  fields.constructed(TAG.sequence).walk();
  return fields.since(start);
}

function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof SealwrightError) || cause.code === 'certificate_invalid') throw cause;
    throw new SealwrightError('certificate_invalid', cause.fields, { cause });
  }
}

function malformed(reason: string): never {
  throw new SealwrightError('certificate_invalid', { reason });
}
