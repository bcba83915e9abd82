import { hash } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { DerReader } from './der/reader.ts';
import { TAG } from './der/tags.ts';
import { bitString, boolean, context, implicit, octetString, oid } from './der/writer.ts';
import { sequence, time, tlv, unsignedInteger } from './der/writer.ts';
import { EMPTY_NAME } from './distinguished-name.ts';
import { octetsOfAddress } from './general-name.ts';
import { encodeExtension, type IssuerTemplate } from './issuer-template.ts';
import { OID } from './oids.ts';
import type { KeyAlgorithm } from './public-key.ts';
import type { Validity } from './validity.ts';

/** What both profiles need to know. The times are whole seconds, both inclusive: see `validityFor`. */
interface CertificateRequest extends Validity {
  /** SubjectPublicKeyInfo, DER, from the CSR. */
  readonly spki: Buffer;
  readonly keyAlgorithm: KeyAlgorithm;
  /** Content octets of a positive, minimal INTEGER: see `newSerial`. */
  readonly serial: Buffer;
  readonly issuer: IssuerTemplate;
}

/** A workload's SVID: its one name is the identity that authorization granted (invariant 1). */
export interface LeafRequest extends CertificateRequest {
  readonly identity: SpiffeId;
}

/** A certificate of Sealwright's own servers. Callers cannot ask for one. */
export interface ServerRequest extends CertificateRequest {
  readonly dnsNames: readonly string[];
  /** IPv4 or IPv6, in text. */
  readonly ipAddresses: readonly string[];
  /** With an identity it is an SVID as well, and may be used as a client. */
  readonly identity?: SpiffeId | undefined;
}

const VERSION_3 = context(0, unsignedInteger(2));

/**
 * RFC 8813 3: an ECDSA key encrypts nothing, so digitalSignature only. RSA adds keyEncipherment, for peers that still
 * speak TLS 1.2 with RSA key exchange. The first octet of the content counts the unused bits.
 */
const KEY_USAGE_SIGN = encodeExtension(OID.keyUsage, bitString(Buffer.of(0x80), 7), { critical: true });
const KEY_USAGE_SIGN_AND_ENCIPHER = encodeExtension(OID.keyUsage, bitString(Buffer.of(0xa0), 5), { critical: true });

/** SPIFFE X509-SVID 4.4: both, or none. */
const BOTH_PURPOSES = encodeExtension(OID.extKeyUsage, sequence(oid(OID.serverAuth), oid(OID.clientAuth)));
const SERVER_PURPOSE = encodeExtension(OID.extKeyUsage, sequence(oid(OID.serverAuth)));

/** cA is false by default, and defaults are not written: the empty sequence says it. */
const NOT_A_CA = encodeExtension(OID.basicConstraints, sequence(), { critical: true });

const SUBJECT_KEY_IDENTIFIER = oid(OID.subjectKeyIdentifier);

/** Critical, because the subject is empty (RFC 5280 4.1.2.6). */
const SUBJECT_ALT_NAME = Buffer.concat([oid(OID.subjectAltName), boolean(true)]);

/** RFC 1123 2.1, in lower case. No wildcards: the names of Sealwright's own servers are exact. */
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/**
 * The to-be-signed certificate of a workload: critical URI SAN alone, empty subject, digitalSignature, serverAuth and
 * clientAuth, not a CA. Nothing of it comes from the CSR but the key.
 *
 * @throws SealwrightError `profile_invalid`
 */
export function buildLeafTbs(request: LeafRequest): Buffer {
  return buildTbs(request, { purposes: BOTH_PURPOSES, names: uri(request.identity) });
}

/**
 * The to-be-signed certificate of one of Sealwright's own servers.
 *
 * @throws SealwrightError `profile_invalid`
 */
export function buildServerTbs(request: ServerRequest): Buffer {
  const { dnsNames, ipAddresses, identity } = request;
  const names = [
    ...dnsNames.map((name) => implicit(2, Buffer.from(DNS_NAME.test(name) ? name : refuse('not a DNS name', name)))),
    ...ipAddresses.map((address) => implicit(7, octetsOfAddress(address) ?? refuse('not an IP address', address))),
    ...(identity === undefined ? [] : [uri(identity)]),
  ];
  if (names.length === 0) refuse('a server needs a name');
  return buildTbs(request, {
    purposes: identity === undefined ? SERVER_PURPOSE : BOTH_PURPOSES,
    names: Buffer.concat(names),
  });
}

/** The certificate itself: what was signed, with what, and the signature. */
export function assembleCertificate(tbs: Buffer, algorithmIdentifier: Buffer, signature: Buffer): Buffer {
  return sequence(tbs, algorithmIdentifier, bitString(signature));
}

/** RFC 7093 2 (1): the leftmost 160 bits of the SHA-256 of the key's bits; RFC 5280's own method is SHA-1. */
export function keyIdentifierOf(spki: Buffer): Buffer {
  return hash('sha256', keyBitsOf(spki), 'buffer').subarray(0, 20);
}

function buildTbs(request: CertificateRequest, shape: { purposes: Buffer; names: Buffer }): Buffer {
  const { issuer, spki } = request;
  const extensions = sequence(
    request.keyAlgorithm === 'RSA' ? KEY_USAGE_SIGN_AND_ENCIPHER : KEY_USAGE_SIGN,
    shape.purposes,
    NOT_A_CA,
    sequence(SUBJECT_KEY_IDENTIFIER, octetString(octetString(keyIdentifierOf(spki)))),
    issuer.authorityKeyIdentifier,
    sequence(SUBJECT_ALT_NAME, octetString(sequence(shape.names))),
  );
  return sequence(
    VERSION_3,
    tlv(TAG.integer, checkedSerial(request.serial)),
    issuer.signatureAlgorithm,
    issuer.subject,
    sequence(time(wholeSecond(request.notBefore)), time(wholeSecond(request.notAfter))),
    EMPTY_NAME,
    spki,
    context(3, extensions),
  );
}

const uri = (identity: SpiffeId): Buffer => implicit(6, Buffer.from(identity.toString(), 'latin1'));

function checkedSerial(serial: Buffer): Buffer {
  const [first = 0, second = 0] = serial;
  const positive = first > 0 ? first < 0x80 : serial.length > 1 && second >= 0x80;
  return positive && serial.length <= 20 ? serial : refuse('not a positive, minimal serial number of up to 20 octets');
}

/** What a UTCTime or a GeneralizedTime can say (RFC 5280 4.1.2.5), in milliseconds. */
const EARLIEST = Date.UTC(1950, 0, 1);
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59);

/** The ledger and the certificate must say the same time, so nothing is rounded here. */
function wholeSecond(milliseconds: number): number {
  const expressible = milliseconds >= EARLIEST && milliseconds <= LATEST && milliseconds % 1_000 === 0;
  return expressible ? milliseconds : refuse('not a time of whole seconds from 1950 to 9999');
}

/** The content of the BIT STRING that ends a SubjectPublicKeyInfo, without its count of unused bits. */
function keyBitsOf(spki: Buffer): Buffer {
  const info = DerReader.over(spki).sequence();
  info.sequence();
  return info.octetsOfBitString();
}

function refuse(reason: string, got?: string): never {
  throw new SealwrightError('profile_invalid', { reason, got: got?.slice(0, 300) });
}
