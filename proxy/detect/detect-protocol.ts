import { isIn, LF, METHOD, SP, TARGET } from '../http1/characters.ts';
import { readVersion } from '../http1/version.ts';
import { readClientHello, type ClientHello } from './client-hello.ts';

export type Detected =
  { readonly protocol: 'tls'; readonly hello: ClientHello } | { readonly protocol: 'http1' | 'http2' | 'tcp' };

const HTTP1: Detected = Object.freeze({ protocol: 'http1' });
const HTTP2: Detected = Object.freeze({ protocol: 'http2' });
const TCP: Detected = Object.freeze({ protocol: 'tcp' });

/** RFC 8446 5.1: a handshake message, the only one that begins a connection. */
const CLIENT_HELLO = 22;
/** RFC 9113 3.4. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const VERSION = Buffer.from('HTTP/1.', 'latin1');
/** A first line longer than this is that of no HTTP client. */
const MAX_LINE = 8 * 1024;
const MAX_METHOD = 32;
/** What lax readers skip before a request. */
const WHITESPACE: ReadonlySet<number> = new Set(Buffer.from('\r\n\t\v\f ', 'latin1'));

/** A line that some reader takes for that of a request: HTTP behind whatever it takes for whitespace. */
const NEARLY_HTTP = /[\t\v\f ]HTTP\/\d/i;
/** How such a line begins, as far as it has come: a word, and anything behind it. */
const NEARLY_METHOD = /^(?:[A-Za-z-]{0,32}|[A-Za-z-]{1,32}[\t\v\f ][^\n]*)$/;

/**
 * Says what the first bytes of a connection begin; undefined while they could begin several things. What is no TLS and
 * no HTTP for certain is TCP: a connection judged as TCP is never judged more gently than as HTTP, since rules about
 * requests cannot allow it.
 */
export function detectProtocol(bytes: Buffer): Detected | undefined {
  if (bytes.length === 0 || bytes[0] === CLIENT_HELLO) return detectTls(bytes);
  const common = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, common, 0, common) === 0) return common === PREFACE.length ? HTTP2 : undefined;
  return detectRequestLine(bytes);
}

/**
 * The same for bytes of strangers: what a lax application would read as a request is HTTP too, and refused by the engine
 * in its words. Unread, it could say who its sender is (invariant 6).
 */
export function detectLaxly(bytes: Buffer): Detected | undefined {
  const detected = detectProtocol(bytes);
  return detected === TCP && bytes[0] !== CLIENT_HELLO ? detectNearlyHttp(bytes) : detected;
}

/** The same where everything but TLS is known to be TCP, so that it need not wait. */
export function detectTls(bytes: Buffer): Detected | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes[0] !== CLIENT_HELLO) return TCP;
  const hello = readClientHello(bytes);
  if (hello === 'more') return undefined;
  return hello === 'none' ? TCP : { protocol: 'tls', hello };
}

function detectNearlyHttp(bytes: Buffer): Detected | undefined {
  let start = 0;
  while (start < bytes.length && WHITESPACE.has(bytes[start] ?? 0)) start += 1;
  const end = bytes.indexOf(LF, start);
  const line = bytes.toString('latin1', start, Math.min(end < 0 ? bytes.length : end, start + MAX_LINE));
  if (NEARLY_METHOD.test(line) && NEARLY_HTTP.test(line)) return HTTP1;
  return end < 0 && bytes.length <= MAX_LINE && NEARLY_METHOD.test(line) ? undefined : TCP;
}

function detectRequestLine(bytes: Buffer): Detected | undefined {
  let index = 0;
  while (isIn(bytes[index], METHOD)) index += 1;
  if (index > MAX_METHOD) return TCP;
  if (index === bytes.length) return undefined;
  if (index === 0 || bytes[index] !== SP) return TCP;
  index += 1;
  const target = index;
  while (isIn(bytes[index], TARGET)) index += 1;
  if (index > MAX_LINE) return TCP;
  if (index === bytes.length) return undefined;
  if (index === target || bytes[index] !== SP) return TCP;
  index += 1;
  const version = Math.min(VERSION.length, bytes.length - index);
  if (bytes.compare(VERSION, 0, version, index, index + version) !== 0) return TCP;
  if (bytes.length < index + 8) return undefined;
  return typeof readVersion(bytes, index, index + 8) === 'number' ? HTTP1 : TCP;
}
