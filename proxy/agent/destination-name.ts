import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/** DNS with the underscore that people use; a longer or other name is nobody's. */
const HOST_NAME = /^[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?$/;

/** More labels than any name has that one calls: each is asked for, and who calls chooses them. */
const MAX_LABELS = 16;

/** A host in the one spelling by which it is looked for: lower case, no final dot, IPv6 in its shortest form. */
export function normalizeHost(host: string): string | undefined {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (isIPv4(bare)) return bare;
  if (isIPv6(bare)) return bare.includes('%') ? undefined : shortest(bare);
  const name = (bare.endsWith('.') ? bare.slice(0, -1) : bare).toLowerCase();
  return HOST_NAME.test(name) && name.split('.').length <= MAX_LABELS ? name : undefined;
}

/** An IPv4 address that came through a dual-stack socket is that IPv4 address. */
function shortest(address: string): string {
  const text = new SocketAddress({ address, family: 'ipv6' }).address;
  return text.startsWith('::ffff:') && isIPv4(text.slice(7)) ? text.slice(7) : text;
}

/**
 * The names under which the control stream knows a normalized host: `<network>/<ip>` for an address,
 * `*` + `/<hostname>` for any namespace's, and for a name without a dot also what it means in the own namespace.
 */
export function subscriptionsFor(
  host: string,
  own: { readonly namespace: string; readonly network: string },
): string[] {
  if (isAddress(host)) return own.network === '' ? [`/${host}`] : [`${own.network}/${host}`, `/${host}`];
  return host.includes('.') ? [`*/${host}`] : [`${own.namespace}/${host}`, `*/${host}`];
}

/** The names of the wildcard services that a normalized host may belong to, the nearest first. */
export function wildcardsFor(host: string): string[] {
  if (isAddress(host)) return [];
  const labels = host.split('.');
  return labels.slice(1).map((_, index) => `*/*.${labels.slice(index + 1).join('.')}`);
}

/** Of a normalized host. */
export function isAddress(host: string): boolean {
  return isIPv4(host) || host.includes(':');
}
