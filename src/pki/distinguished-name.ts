import { DerReader } from './der/reader.ts';
import { TAG } from './der/tags.ts';
import { OID } from './oids.ts';
import { SealwrightError } from '../core/errors.ts';

/** What `30 00` says: no name at all. */
export const EMPTY_NAME = Buffer.of(0x30, 0x00);

export const isEmptyName = (name: Buffer): boolean => name.length === 2;

/** RFC 4514 3 and what OpenSSL prints. */
const SHORT: Readonly<Record<string, string | undefined>> = {
  [OID.commonName]: 'CN',
  [OID.serialNumber]: 'serialNumber',
  [OID.countryName]: 'C',
  [OID.localityName]: 'L',
  [OID.stateOrProvinceName]: 'ST',
  [OID.organizationName]: 'O',
  [OID.organizationalUnitName]: 'OU',
};

/** RFC 5280 4.1.2.4: the types of a DirectoryString, and IA5String for domain components and mail addresses. */
const READERS: Readonly<Record<number, ((content: Buffer) => string | undefined) | undefined>> = {
  [TAG.utf8String]: utf8,
  [TAG.printableString]: (content) => matching(content, /^[A-Za-z0-9 '()+,\-./:=?]*$/),
  [TAG.ia5String]: (content) => matching(content, /^[\x20-\x7e]*$/),
  // Old certificates of other people's: read as Latin-1, never written.
  [TAG.teletexString]: (content) => content.toString('latin1'),
  [TAG.bmpString]: (content) => (content.length % 2 === 0 ? utf16(content) : undefined),
};

/**
 * Goes through a Name so that nothing malformed gets past, and moves behind it. Names are compared as bytes:
 * RFC 5280 7.1 would also equate other spellings, which no issuer that copies its own subject ever produces.
 *
 * @throws SealwrightError `der_invalid`
 */
export function readName(reader: DerReader): Buffer {
  const start = reader.position;
  const relativeNames = reader.sequence();
  while (!relativeNames.atEnd) readRelativeName(relativeNames);
  return reader.since(start);
}

/** One line for people, most significant part first: `C=CH, O=cluster.local`. Control characters are escaped. */
export function textOfName(name: Buffer): string {
  const relativeNames = DerReader.over(name).sequence();
  const parts: string[] = [];
  while (!relativeNames.atEnd) {
    parts.push(
      readRelativeName(relativeNames)
        .map(([type, value]) => `${SHORT[type] ?? type}=${escape(value)}`)
        .join(' + '),
    );
  }
  return parts.join(', ');
}

function readRelativeName(reader: DerReader): [type: string, value: string][] {
  const attributes = reader.setOf();
  if (attributes.atEnd) refuse('a part of a name without a value');
  const values: [string, string][] = [];
  while (!attributes.atEnd) {
    const attribute = attributes.sequence();
    const type = attribute.oid();
    const tag = attribute.nextTag;
    const value = READERS[tag]?.(attribute.primitive(tag)) ?? refuse(`a name with a value of tag ${tag}`);
    attribute.end();
    values.push([type, value]);
  }
  return values;
}

const matching = (content: Buffer, characters: RegExp): string | undefined => {
  const text = content.toString('latin1');
  return characters.test(text) ? text : undefined;
};

function utf8(content: Buffer): string | undefined {
  const text = content.toString('utf8');
  return Buffer.byteLength(text, 'utf8') === content.length && !text.includes('\ufffd') ? text : undefined;
}

const utf16 = (content: Buffer): string => Buffer.from(content).swap16().toString('utf16le');

const escape = (value: string): string =>
  value.replace(/[\p{C}\\,+=]/gu, (character) =>
    /[\\,+=]/.test(character) ? `\\${character}` : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );

function refuse(reason: string): never {
  throw new SealwrightError('der_invalid', { reason });
}
