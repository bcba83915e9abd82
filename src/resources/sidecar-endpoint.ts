import { isIP } from 'node:net';
import { UNIX } from './networking-value.ts';

/** Where the application itself listens. */
export type SidecarEndpoint =
  | { readonly kind: 'tcp'; /** Empty for the workload's own address. */ readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; /** An absolute path, or `@name`. */ readonly path: string };

const OWN_HOSTS: ReadonlySet<string> = new Set(['', '127.0.0.1', '0.0.0.0', '::1', '::']);

/** Reads `defaultEndpoint`; nothing where it is none. */
export function endpointOf(text: string | undefined): SidecarEndpoint | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.startsWith(UNIX)) return Object.freeze({ kind: 'unix', path: text.slice(UNIX.length) });
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([1-9]\d{0,4})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3] ?? 0);
  const bracketed = match?.[1] !== undefined;
  const fine = port > 0 && port <= 65_535 && OWN_HOSTS.has(host) && bracketed === (isIP(host) === 6);
  return fine ? Object.freeze({ kind: 'tcp', host, port }) : undefined;
}
