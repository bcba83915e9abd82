import { readConnectionOptions } from './connection-options.ts';
import { readContentLength } from './content-length.ts';
import { FIELD } from './field-names.ts';
import { PROBLEM, type Problem } from './problems.ts';
import type { ResponseHead } from './response-head.ts';

/** What of the request decides how its response is framed. */
export interface ResponseContext {
  readonly method: string;
  readonly minor: number;
  readonly upgrade: string | undefined;
}

/**
 * Judges the parts of a response head together and fills in its framing (RFC 9112 6.3). Returns why it is refused, or
 * nothing: an upstream whose answer could be read in two ways would split the answers of everybody behind it.
 */
export function checkResponse(head: ResponseHead, request: ResponseContext): Problem | undefined {
  let transferEncoding = -1;
  let contentLength = -1;
  let upgrade = -1;
  let connections = 0;
  const switches = head.status === 101;
  for (let field = 0; field < head.count; field += 1) {
    switch (head.kinds[field] ?? FIELD.other) {
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
        if (!switches) head.dropped[field] = 1;
        break;
      case FIELD.keepAlive:
        head.keepAliveTimeout = readKeepAliveTimeout(head.value(field));
        head.dropped[field] = 1;
        break;
      case FIELD.proxyConnection:
        head.dropped[field] = 1;
        break;
      case FIELD.upgrade:
        upgrade = upgrade === -1 ? field : -2;
        // 426 must say what to upgrade to (RFC 9110 15.5.22); elsewhere it is an offer to this hop alone.
        if (!switches && head.status !== 426) head.dropped[field] = 1;
        break;
      case FIELD.lookalike:
        return PROBLEM.lookalike;
      default:
        break;
    }
  }

  head.keepAlive = head.minor === 1;
  if (connections > 0) {
    const options = readConnectionOptions(head);
    if (options === undefined) return PROBLEM.connection;
    if (options.close) head.keepAlive = false;
  }
  // Bytes of a protocol that was not offered would pass unread (RFC 9110 7.8: only what the client has named).
  if (switches && (request.upgrade === undefined || upgrade < 0 || !head.valueIs(upgrade, request.upgrade))) {
    return PROBLEM.upgradeUnasked;
  }
  return frame(head, request, contentLength, transferEncoding);
}

function frame(
  head: ResponseHead,
  request: ResponseContext,
  contentLength: number,
  transferEncoding: number,
): Problem | undefined {
  if (transferEncoding >= 0) {
    if (contentLength >= 0) return PROBLEM.bothFramings;
    // A client of HTTP/1.0 cannot read chunks, and the upstream was told that it is one (RFC 9112 6.1).
    if (head.minor === 0 || request.minor === 0) return PROBLEM.transferEncoding;
    if (!head.valueIs(transferEncoding, 'chunked')) return PROBLEM.transferEncoding;
    if (!head.isTight(transferEncoding)) return PROBLEM.transferEncoding;
  }
  const length = contentLength < 0 ? 0 : readContentLength(head, contentLength);
  if (length === undefined) return PROBLEM.contentLength;

  if (head.status < 200 || head.status === 204) {
    // RFC 9112 6.3: these have no body, whatever they claim; a client that believed the claim would lose its place. None may
    // have a length (RFC 9110 8.6), and what some add is one zero: no other spelling of it.
    const claims = transferEncoding >= 0 || (contentLength >= 0 && !head.valueIs(contentLength, '0'));
    return claims ? PROBLEM.bodyNotAllowed : undefined;
  }
  if (request.method === 'HEAD' || head.status === 304) return undefined;
  if (transferEncoding >= 0) {
    head.framing = 'chunked';
  } else if (contentLength >= 0) {
    head.contentLength = length;
    head.framing = length === 0 ? 'none' : 'length';
  } else {
    head.framing = 'until-close';
    head.keepAlive = false;
  }
  return undefined;
}

/** `timeout=5, max=100` as 5: what Node's and Apache's servers announce. */
function readKeepAliveTimeout(value: string): number | undefined {
  const seconds = /(?:^|[\s,])timeout=(\d{1,6})(?:$|[\s,])/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
