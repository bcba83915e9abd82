import { SealwrightError } from '../core/errors.ts';
import { DerReader } from './der/reader.ts';
import { primitiveContext } from './der/tags.ts';
import { type GeneralName, readGeneralName } from './general-name.ts';
import { type NameConstraints, readNameConstraints } from './name-constraints.ts';
import { OID } from './oids.ts';

/** RFC 5280 4.2.1.3, as bits of a number: bit 0 of the BIT STRING is bit 0 here. */
export const KEY_USAGE = {
  digitalSignature: 1 << 0,
  nonRepudiation: 1 << 1,
  keyEncipherment: 1 << 2,
  dataEncipherment: 1 << 3,
  keyAgreement: 1 << 4,
  keyCertSign: 1 << 5,
  cRLSign: 1 << 6,
  encipherOnly: 1 << 7,
  decipherOnly: 1 << 8,
} as const;

/** One extension as it stands, whether it is known here or not. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** The extensions of a certificate: all of them as they stand, and those that are known also by their meaning. */
export interface Extensions {
  readonly all: readonly Extension[];
  readonly keyUsage: { readonly critical: boolean; readonly bits: number } | undefined;
  readonly extKeyUsage: { readonly critical: boolean; readonly oids: readonly string[] } | undefined;
  readonly basicConstraints:
    { readonly critical: boolean; readonly ca: boolean; readonly pathLength: number | undefined } | undefined;
  readonly subjectAltName: { readonly critical: boolean; readonly names: readonly GeneralName[] } | undefined;
  readonly subjectKeyIdentifier: { readonly critical: boolean; readonly id: Buffer } | undefined;
  readonly authorityKeyIdentifier: { readonly critical: boolean; readonly id: Buffer | undefined } | undefined;
  readonly nameConstraints: ({ readonly critical: boolean } & NameConstraints) | undefined;
}

/**
 * Reads `Extensions` (RFC 5280 4.2), each at most once. Known ones are read to their end; unknown ones are kept as
 * bytes, and whoever judges the certificate refuses them where they are critical.
 *
 * @throws SealwrightError `der_invalid`
 */
export function readExtensions(reader: DerReader): Extensions {
  const list = reader.sequence();
  if (list.atEnd) refuse('an empty list of extensions');
  const all: Extension[] = [];
  const found: { -readonly [Name in keyof Extensions]: Extensions[Name] } = {
    all,
    keyUsage: undefined,
    extKeyUsage: undefined,
    basicConstraints: undefined,
    subjectAltName: undefined,
    subjectKeyIdentifier: undefined,
    authorityKeyIdentifier: undefined,
    nameConstraints: undefined,
  };
  while (!list.atEnd) {
    const entry = list.sequence();
    const oid = entry.oid();
    const critical = entry.optionalTrue();
    const value = entry.octetString();
    entry.end();
    for (const other of all) if (other.oid === oid) refuse(`the extension ${oid} stands twice`);
    all.push({ oid, critical, value });
    const content = DerReader.over(value);
    switch (oid) {
      case OID.keyUsage:
        found.keyUsage = { critical, bits: readKeyUsage(content) };
        break;
      case OID.extKeyUsage:
        found.extKeyUsage = { critical, oids: readExtKeyUsage(content) };
        break;
      case OID.basicConstraints:
        found.basicConstraints = { critical, ...readBasicConstraints(content) };
        break;
      case OID.subjectAltName:
        found.subjectAltName = { critical, names: readGeneralNames(content) };
        break;
      case OID.subjectKeyIdentifier:
        found.subjectKeyIdentifier = { critical, id: content.octetString() };
        break;
      case OID.authorityKeyIdentifier:
        found.authorityKeyIdentifier = { critical, id: readAuthorityKeyIdentifier(content) };
        break;
      case OID.nameConstraints:
        found.nameConstraints = { critical, ...readNameConstraints(content) };
        break;
      default:
        continue;
    }
    content.end();
  }
  return found;
}

/** X.690 11.2.2: a named bit list has no trailing zero bits. RFC 5280 4.2.1.3: at least one bit is set. */
function readKeyUsage(reader: DerReader): number {
  const { unused, bits } = reader.bitString();
  const [first = 0, second = 0] = bits;
  const last = bits.at(-1) ?? 0;
  if (bits.length < 1 || bits.length > 2 || ((last >> unused) & 1) !== 1) refuse('the key usage is malformed');
  return reverse(first) | (reverse(second) << 8);
}

function reverse(octet: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit += 1) if ((octet & (0x80 >> bit)) !== 0) reversed |= 1 << bit;
  return reversed;
}

function readExtKeyUsage(reader: DerReader): string[] {
  const list = reader.sequence();
  const oids: string[] = [];
  while (!list.atEnd) oids.push(list.oid());
  return oids.length > 0 ? oids : refuse('an empty extended key usage');
}

function readBasicConstraints(reader: DerReader): { ca: boolean; pathLength: number | undefined } {
  const fields = reader.sequence();
  const ca = fields.optionalTrue();
  const pathLength = fields.atEnd ? undefined : fields.smallInteger();
  fields.end();
  // RFC 5280 4.2.1.9: a path length means something only where cA is asserted.
  return ca || pathLength === undefined ? { ca, pathLength } : refuse('a path length without cA');
}

function readGeneralNames(reader: DerReader): GeneralName[] {
  const list = reader.sequence();
  const names: GeneralName[] = [];
  while (!list.atEnd) names.push(readGeneralName(list));
  return names.length > 0 ? names : refuse('an empty list of alternative names');
}

function readAuthorityKeyIdentifier(reader: DerReader): Buffer | undefined {
  const fields = reader.sequence();
  const id = fields.nextTag === primitiveContext(0) ? fields.primitive(primitiveContext(0)) : undefined;
  // authorityCertIssuer and authorityCertSerialNumber: well-formed, and of no use in finding an issuer.
  fields.walk();
  return id;
}

function refuse(reason: string): never {
  throw new SealwrightError('der_invalid', { reason });
}
