import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/**
 * Whether a request comes from a program on this machine, and from no web page: `/drain` and `/quitquitquit` are for
 * nobody else (invariant 6). A page that somebody has open here can make the browser send a POST to any address, but
 * not without saying that it is one (Fetch, `Origin`), nor, by a name of its own that leads here, without that name.
 */
export function callerIsLocal({ socket, headers }: Pick<IncomingMessage, 'headers'> & { socket: Remote }): boolean {
  if (!isLoopback(socket.remoteAddress ?? '')) return false;
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) return false;
  // Somebody else's word, passed on from here: an ingress listener may lead to this port, for its metrics.
  if (PASSED_ON.some((name) => headers[name] !== undefined)) return false;
  const host = (headers.host ?? '').replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
  return host === 'localhost' || isIP(host) !== 0;
}

const PASSED_ON = ['x-forwarded-client-cert', 'x-forwarded-for', 'forwarded', 'via'];

interface Remote {
  readonly remoteAddress?: string | undefined;
}

function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
