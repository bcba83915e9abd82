import { SealwrightError } from '../core/errors.ts';
import type { DerReader } from './der/reader.ts';
import { constructedContext } from './der/tags.ts';
import { type GeneralName, octetsOfAddress, readGeneralName } from './general-name.ts';

/** RFC 5280 4.2.1.10: which names may, and may not, stand in what a CA's certificate stands above. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** How many pairs of name and constraint are compared in one certificate; more are an attack, and refused. */
const MOST_COMPARISONS = 20_000;

/** @throws SealwrightError `der_invalid` */
export function readNameConstraints(reader: DerReader): NameConstraints {
  const fields = reader.sequence();
  const permitted = readSubtrees(fields, constructedContext(0));
  const excluded = readSubtrees(fields, constructedContext(1));
  fields.end();
  if (permitted.length + excluded.length === 0) refuse('name constraints that constrain nothing');
  return { permitted, excluded };
}

function readSubtrees(reader: DerReader, tag: number): GeneralName[] {
  if (reader.nextTag !== tag) return [];
  const list = reader.constructed(tag);
  const bases: GeneralName[] = [];
  while (!list.atEnd) {
    const subtree = list.sequence();
    bases.push(readGeneralName(subtree, { masked: true }));
    // RFC 5280 4.2.1.10: minimum is 0, the default, and maximum absent; so there is nothing left to be encoded.
    subtree.end();
  }
  return bases;
}

/**
 * Why the names are not within the constraints, or undefined. URIs, DNS names and addresses are compared; a name of
 * any other kind that is constrained at all is refused, as RFC 5280 4.2.1.10 allows to one who does not process it.
 */
export function constraintBroken(constraints: NameConstraints, names: readonly GeneralName[]): string | undefined {
  const { permitted, excluded } = constraints;
  if (names.length * (permitted.length + excluded.length) > MOST_COMPARISONS) return 'too many names and constraints';
  for (const name of names) {
    for (const base of excluded) {
      if (base.kind === name.kind && (matches(name, base) ?? true)) return `its ${name.kind} name is excluded`;
    }
    const ofKind = permitted.filter((base) => base.kind === name.kind);
    if (ofKind.length > 0 && !ofKind.some((base) => matches(name, base) ?? false)) {
      return `its ${name.kind} name is not permitted`;
    }
  }
  return undefined;
}

/** Whether a name is within a base of its own kind; undefined where that kind is not compared. */
function matches(name: GeneralName, base: GeneralName): boolean | undefined {
  if (name.kind === 'uri' && base.kind === 'uri') return uriWithin(name.text, base.text);
  if (name.kind === 'dns' && base.kind === 'dns') return dnsWithin(name.text, base.text);
  if (name.kind === 'ip' && base.kind === 'ip') return addressWithin(name.octets, base.octets);
  return undefined;
}

/** The host of the URI, exactly; a base that begins with a period means the hosts below it and not itself. */
function uriWithin(uri: string, base: string): boolean | undefined {
  const host = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@]+)(?::\d*)?(?:[/?#]|$)/
    .exec(uri)?.[1]
    ?.toLowerCase();
  // RFC 5280 4.2.1.10: a URI without a host name (none, or an address) cannot be judged and is refused.
  if (host === undefined || octetsOfAddress(host) !== undefined) return undefined;
  const wanted = base.toLowerCase();
  return wanted.startsWith('.') ? host.length > wanted.length && host.endsWith(wanted) : host === wanted;
}

/** The base itself or anything with labels added on its left. A wildcard covers what stands in its place. */
function dnsWithin(name: string, base: string): boolean | undefined {
  const [host, wanted] = [name.toLowerCase(), base.toLowerCase()];
  if (wanted.startsWith('.') || wanted.includes('*') || host.startsWith('.')) return undefined;
  if (wanted === '' || host === wanted || host.endsWith(`.${wanted}`)) return true;
  // *.example.com may be used as any name that an exclusion of bar.example.com forbids: not to be told apart here.
  return host.startsWith('*.') && wanted.endsWith(host.slice(1)) ? undefined : false;
}

function addressWithin(octets: Buffer, base: Buffer): boolean {
  if (base.length !== octets.length * 2) return false;
  return octets.every((octet, at) => {
    const mask = base[octets.length + at] ?? 0;
    return (octet & mask) === ((base[at] ?? 0) & mask);
  });
}

function refuse(reason: string): never {
  throw new SealwrightError('der_invalid', { reason });
}
