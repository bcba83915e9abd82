import { COLON, DIGIT, equalsIgnoringCase, HEX, HOST, isIn } from './characters.ts';
import { readConnectionOptions } from './connection-options.ts';
import { readContentLength } from './content-length.ts';
import { FIELD } from './field-names.ts';
import { PROBLEM, type Problem } from './problems.ts';
import type { RequestHead } from './request-head.ts';

const SLASH = 0x2f;
const QUESTION = 0x3f;
const STAR = 0x2a;
const BRACKET = 0x5b;

/**
 * Judges the parts of a request head together and fills in what they mean: framing, path, host, what ends at this hop.
 * Returns why it is refused, or nothing. Every request that two servers could read in two ways is refused here.
 *
 * @param upgrades protocols (lower case) that may be changed to; the offer of any other is not passed on. Never `h2c`:
 *   requests inside it would go by unjudged.
 */
export function checkRequest(head: RequestHead, upgrades: readonly string[]): Problem | undefined {
  let transferEncoding = -1;
  let contentLength = -1;
  let upgrade = -1;
  let connections = 0;
  head.pathStart = head.targetStart;
  for (let field = 0; field < head.count; field += 1) {
    switch (head.kinds[field] ?? FIELD.other) {
      case FIELD.other:
        break;
      case FIELD.requestId:
        head.requestIdField = head.requestIdField === -1 ? field : -2;
        break;
      case FIELD.host:
        // Two Host fields are refused even if they agree (RFC 9112 3.2).
        if (head.hostField >= 0) return PROBLEM.hostRepeated;
        head.hostField = field;
        break;
      case FIELD.contentLength:
        if (contentLength >= 0) return PROBLEM.contentLengthRepeated;
        contentLength = field;
        break;
      case FIELD.transferEncoding:
        if (transferEncoding >= 0) return PROBLEM.transferEncoding;
        transferEncoding = field;
        break;
      case FIELD.connection:
        connections += 1;
        head.dropped[field] = 1;
        break;
      case FIELD.upgrade:
        // A list of offers would let the upstream pick one that is not relayed: only a single one is passed on.
        upgrade = upgrade === -1 ? field : -2;
        head.dropped[field] = 1;
        break;
      case FIELD.keepAlive:
      case FIELD.proxyConnection:
        head.dropped[field] = 1;
        break;
      case FIELD.te:
        if (!head.valueIs(field, 'trailers')) head.dropped[field] = 1;
        break;
      case FIELD.expect:
        if (!head.valueIs(field, '100-continue')) return PROBLEM.expectation;
        head.expectsContinue = head.minor === 1;
        break;
      default:
        return PROBLEM.lookalike;
    }
  }

  head.keepAlive = head.minor === 1;
  let offersUpgrade = false;
  if (connections > 0) {
    const options = readConnectionOptions(head);
    if (options === undefined) return PROBLEM.connection;
    // An HTTP/1.0 client is always answered with close: what it asked to keep is not worth a second framing.
    if (options.close) head.keepAlive = false;
    offersUpgrade = options.upgrade;
  }

  const problem = checkHost(head) ?? checkTarget(head) ?? checkFraming(head, contentLength, transferEncoding);
  if (problem !== undefined) return problem;
  if (offersUpgrade && upgrade >= 0 && head.minor === 1) {
    const protocol = upgrades.find((candidate) => head.valueIs(upgrade, candidate));
    if (protocol !== undefined) {
      // Whether bytes behind the head are a body or the new protocol would depend on the answer.
      if (head.framing !== 'none') return PROBLEM.upgradeWithBody;
      head.upgrade = protocol;
      head.dropped[upgrade] = 0;
    }
  }
  return undefined;
}

function checkHost(head: RequestHead): Problem | undefined {
  if (head.hostField < 0) return head.minor === 1 ? PROBLEM.hostMissing : undefined;
  const start = head.valueStart(head.hostField);
  return isAuthority(head.bytes, start, head.valueEnd(head.hostField)) ? undefined : PROBLEM.host;
}

/** `host[:port]` without user information, not empty (RFC 3986 3.2.2). */
function isAuthority(bytes: Buffer, start: number, end: number): boolean {
  let index = start;
  if (bytes[index] === BRACKET) {
    index += 1;
    while (index < end && (isIn(bytes[index], HEX) || bytes[index] === COLON || bytes[index] === 0x2e)) index += 1;
    if (index - start < 3 || bytes[index] !== 0x5d) return false;
    index += 1;
  } else {
    while (index < end && isIn(bytes[index], HOST)) index += 1;
    if (index === start) return false;
  }
  if (index === end) return true;
  if (bytes[index] !== COLON || end - index > 6) return false;
  index += 1;
  while (index < end && isIn(bytes[index], DIGIT)) index += 1;
  return index === end;
}

/** The four forms of RFC 9112 3.2. Absolute-form is passed on as origin-form, and only where it names the same host. */
function checkTarget(head: RequestHead): Problem | undefined {
  const { bytes, targetStart, targetEnd } = head;
  if (head.method === 'CONNECT') return PROBLEM.connect;
  if (bytes[targetStart] === SLASH) return undefined;
  if (bytes[targetStart] === STAR) {
    return targetEnd - targetStart === 1 && head.method === 'OPTIONS' ? undefined : PROBLEM.target;
  }
  let authority = targetStart;
  if (equalsIgnoringCase(bytes, targetStart, targetStart + 7, 'http://')) authority += 7;
  else if (equalsIgnoringCase(bytes, targetStart, targetStart + 8, 'https://')) authority += 8;
  else return PROBLEM.target;
  let path = authority;
  while (path < targetEnd && bytes[path] !== SLASH && bytes[path] !== QUESTION) path += 1;
  if (!isAuthority(bytes, authority, path)) return PROBLEM.target;
  head.pathStart = path;
  // Without a Host (HTTP/1.0) the upstream would not learn the host that was meant.
  if (head.hostField < 0) return PROBLEM.hostMissing;
  const host = head.authority.toLowerCase();
  return equalsIgnoringCase(bytes, authority, path, host) ? undefined : PROBLEM.hostDisagrees;
}

function checkFraming(head: RequestHead, contentLength: number, transferEncoding: number): Problem | undefined {
  if (transferEncoding >= 0) {
    if (contentLength >= 0) return PROBLEM.bothFramings;
    // RFC 9112 6.1: HTTP/1.0 knows no transfer coding; codings besides chunked have no use between services.
    if (head.minor === 0 || !head.valueIs(transferEncoding, 'chunked')) return PROBLEM.transferEncoding;
    if (!head.isTight(transferEncoding)) return PROBLEM.transferEncoding;
    head.framing = 'chunked';
  } else if (contentLength >= 0) {
    const length = readContentLength(head, contentLength);
    if (length === undefined || !head.isTight(contentLength)) return PROBLEM.contentLength;
    head.contentLength = length;
    head.framing = length === 0 ? 'none' : 'length';
  }
  return undefined;
}
