import { isIP } from 'node:net';
import { SealwrightError } from '../core/errors.ts';
import type { DerReader } from './der/reader.ts';
import { constructedContext, primitiveContext } from './der/tags.ts';
import { readName, textOfName } from './distinguished-name.ts';

/** RFC 5280 4.2.1.6: one name of a subject, of the kinds that can be read; the rest is kept as it is. */
export type GeneralName =
  | { readonly kind: 'uri' | 'dns' | 'email'; readonly text: string }
  | { readonly kind: 'ip'; readonly octets: Buffer }
  | { readonly kind: 'directory'; readonly name: Buffer }
  | { readonly kind: 'registeredId' | 'other'; readonly text: string };

/** Visible ASCII: neither a URI nor a host name nor an address has anything else, least of all a NUL. */
const VISIBLE = /^[\x21-\x7e]+$/;

const TAGS = {
  other: constructedContext(0),
  email: primitiveContext(1),
  dns: primitiveContext(2),
  directory: constructedContext(4),
  uri: primitiveContext(6),
  ip: primitiveContext(7),
  registeredId: primitiveContext(8),
} as const;

/**
 * Reads one GeneralName. Addresses are of 4 or 16 octets, and in name constraints (`masked`) of 8 or 32.
 *
 * @throws SealwrightError `der_invalid`
 */
export function readGeneralName(reader: DerReader, { masked = false } = {}): GeneralName {
  const tag = reader.nextTag;
  switch (tag) {
    case TAGS.uri:
      return { kind: 'uri', text: visible(reader.primitive(tag), { empty: masked }) };
    case TAGS.dns:
      return { kind: 'dns', text: visible(reader.primitive(tag), { empty: masked }) };
    case TAGS.email:
      return { kind: 'email', text: visible(reader.primitive(tag), { empty: masked }) };
    case TAGS.ip: {
      const octets = reader.primitive(tag);
      const length = masked ? octets.length / 2 : octets.length;
      return length === 4 || length === 16 ? { kind: 'ip', octets } : refuse('an IP address of a wrong length');
    }
    case TAGS.directory: {
      // [4] is EXPLICIT, because Name is a CHOICE (X.680 31.2.7).
      const inner = reader.constructed(tag);
      const name = readName(inner);
      inner.end();
      return { kind: 'directory', name };
    }
    case TAGS.registeredId:
      return { kind: 'registeredId', text: reader.oid(tag) };
    case TAGS.other: {
      const inner = reader.constructed(tag);
      const text = inner.oid();
      const value = inner.constructed(constructedContext(0));
      value.walk();
      inner.end();
      return { kind: 'other', text };
    }
    default:
      return refuse(`a name of tag ${tag.toString(16)}`);
  }
}

/** `URI:spiffe://…`, `DNS:…`, `IP:…`: for reports and logs. */
export function textOfGeneralName(name: GeneralName): string {
  if (name.kind === 'ip') return `IP:${textOfAddress(name.octets)}`;
  if (name.kind === 'directory') return `DIR:${textOfName(name.name)}`;
  return `${PREFIX[name.kind]}:${name.text}`;
}

const PREFIX = { uri: 'URI', dns: 'DNS', email: 'EMAIL', registeredId: 'RID', other: 'OTHER' } as const;

/** An address as people write it; IPv6 in full, without `::`. */
export function textOfAddress(octets: Buffer): string {
  if (octets.length === 4) return octets.join('.');
  return Array.from({ length: 8 }, (_, group) => octets.readUInt16BE(group * 2).toString(16)).join(':');
}

/** The 4 or 16 octets of an address in text, or undefined where it is not one. */
export function octetsOfAddress(text: string): Buffer | undefined {
  const family = isIP(text);
  if (family === 4) return Buffer.from(text.split('.').map(Number));
  if (family !== 6 || text.includes('%')) return undefined;
  const hostname = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head = '', tail] = hostname.split('::');
  const groupsOf = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')];
  const groups = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  const octets = Buffer.alloc(16);
  for (const [index, group] of groups.entries()) octets.writeUInt16BE(group, index * 2);
  return octets;
}

function visible(content: Buffer, { empty }: { empty: boolean }): string {
  const text = content.toString('latin1');
  if (VISIBLE.test(text) || (empty && text === '')) return text;
  return refuse('a name with characters outside visible ASCII');
}

function refuse(reason: string): never {
  throw new SealwrightError('der_invalid', { reason });
}
