import { isIn, METHOD, SP, TARGET } from '../http1/characters.ts';
import { readVersion } from '../http1/version.ts';
import { readClientHello, type ClientHello } from './client-hello.ts';

export type Detected =
  { readonly protocol: 'tls'; readonly hello: ClientHello } | { readonly protocol: 'http1' | 'http2' | 'tcp' };

const HTTP1: Detected = Object.freeze({ protocol: 'http1' });
const HTTP2: Detected = Object.freeze({ protocol: 'http2' });
const TCP: Detected = Object.freeze({ protocol: 'tcp' });

/** RFC 9113 3.4. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const VERSION = Buffer.from('HTTP/1.', 'latin1');
/** A first line longer than this is that of no HTTP client. */
const MAX_LINE = 8 * 1024;
const MAX_METHOD = 32;

/**
 * Says what the first bytes of a connection begin; undefined while they could begin several things. What is no TLS and
 * no HTTP for certain is TCP: a connection judged as TCP is never judged more gently than as HTTP, since rules about
 * requests cannot allow it.
 */
export function detectProtocol(bytes: Buffer): Detected | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes[0] === 22) {
    const hello = readClientHello(bytes);
    if (hello === 'more') return undefined;
    return hello === 'none' ? TCP : { protocol: 'tls', hello };
  }
  const common = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, common, 0, common) === 0) return common === PREFACE.length ? HTTP2 : undefined;
  return detectRequestLine(bytes);
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
