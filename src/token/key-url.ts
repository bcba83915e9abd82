import { isIP } from 'node:net';
import { SealwrightError } from '../core/errors.ts';

/**
 * Reads an address that keys may be fetched from. Who can answer for it decides who is believed, so it must be https,
 * except on loopback, where nobody else can answer. No user (it would be logged), no query and no fragment: OIDC
 * Discovery 3 has none in an issuer, and nothing of Kubernetes needs one.
 *
 * @throws SealwrightError `jwks_url_refused`
 */
export function parseKeyUrl(text: string): URL {
  const url = parseKeyAddress(text);
  const shown = `${url.protocol}//${url.host}`;
  if (text.includes('?') || text.includes('#')) return refuse('it holds a query or a fragment', shown);
  if (url.protocol === 'https:') return url;
  return isLoopback(url.hostname) ? url : refuse('it is plain http, and not on loopback', shown);
}

/**
 * Reads an address that somebody wrote into a policy: who may be called by it is for a guard to say, that sees where
 * it leads. It may have a query, as some issuers tell their tenants apart by it.
 *
 * @throws SealwrightError `jwks_url_refused`
 */
export function parseKeyAddress(text: string): URL {
  if (text.length > 2048 || !URL.canParse(text)) return refuse('not a URL of at most 2048 characters', undefined);
  const url = new URL(text);
  const shown = `${url.protocol}//${url.host}`;
  if (url.username !== '' || url.password !== '') return refuse('it holds a user or a password', shown);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refuse('it is neither https nor http', shown);
  return url;
}

function isLoopback(hostname: string): boolean {
  // The URL parser has written every form of an IPv4 address (0x7f.1, 2130706433) as four decimal numbers.
  if (isIP(hostname) === 4) return hostname.startsWith('127.');
  return hostname === 'localhost' || hostname === '[::1]';
}

function refuse(reason: string, url: string | undefined): never {
  throw new SealwrightError('jwks_url_refused', { url, reason });
}
