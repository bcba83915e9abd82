import { isIP, isIPv6, SocketAddress } from 'node:net';

/**
 * Reading what an API server sent, of whatever shape: what is not of the type that the API says is as if it were absent.
 * Kubernetes' own checks have run on it, so that there is nobody to report a mistake to.
 */
export type ApiRecord = Readonly<Record<string, unknown>>;

const NOTHING: ApiRecord = Object.freeze({});

export function recordAt(value: unknown): ApiRecord {
  return isRecord(value) ? value : NOTHING;
}

/** The objects of a list; at most so many, for one object of the API must not become a thousand of ours. */
export function recordsAt(value: unknown, most: number): readonly ApiRecord[] {
  return Array.isArray(value) ? value.slice(0, most).filter(isRecord) : [];
}

/** Text of at most so many characters; else empty. */
export function textAt(value: unknown, longest = 253): string {
  return typeof value === 'string' && value.length <= longest ? value : '';
}

/** A TCP port; else 0, which is none. */
export function portAt(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535 ? value : 0;
}

/** The numeric addresses of a list, each once and in its shortest form. */
export function addressesIn(values: Iterable<unknown>): string[] {
  const found = new Set<string>();
  for (const value of values) {
    // No zone: an address of a link is nobody's on another.
    if (typeof value !== 'string' || isIP(value) === 0 || value.includes('%')) continue;
    found.add(isIPv6(value) ? new SocketAddress({ address: value, family: 'ipv6' }).address : value);
  }
  return [...found];
}

/** Texts by name, as labels are. */
export function textsAt(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(recordAt(value));
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function isRecord(value: unknown): value is ApiRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
