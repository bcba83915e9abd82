import type { RequestHead } from './request-head.ts';

/**
 * What happened to one request, for metrics and access log. One object serves all requests of a connection.
 * The head gives method, path and fields; it is undefined where none was understood.
 */
export interface RequestRecord {
  request: RequestHead | undefined;
  /** Status sent to the client; 0 when none was. */
  status: number;
  /** Envoy's response flags, joined by commas; `-` for none. */
  flags: string;
  /** Envoy's RESPONSE_CODE_DETAILS. */
  detail: string;
  /** Why the upstream could not be reached or broke off; empty when it did not. */
  upstreamFailure: string;
  /** `address:port` of the upstream that was called, reached or not; empty when none was. */
  upstream: string;
  /** Connections tried for it. */
  attempts: number;
  /** Bytes of heads and bodies, each way, as received from the sender. */
  requestHeadBytes: number;
  requestBodyBytes: number;
  responseHeadBytes: number;
  responseBodyBytes: number;
  /** When the head was complete, on the clock's `elapsed`. */
  startedAt: number;
  /** Milliseconds from `startedAt` to the end of the response. */
  duration: number;
}

export function createRequestRecord(): RequestRecord {
  return {
    request: undefined,
    status: 0,
    flags: '-',
    detail: '',
    upstreamFailure: '',
    upstream: '',
    attempts: 0,
    requestHeadBytes: 0,
    requestBodyBytes: 0,
    responseHeadBytes: 0,
    responseBodyBytes: 0,
    startedAt: 0,
    duration: 0,
  };
}

export function resetRequestRecord(record: RequestRecord, startedAt: number): void {
  record.request = undefined;
  record.status = 0;
  record.flags = '-';
  record.detail = '';
  record.upstreamFailure = '';
  record.upstream = '';
  record.attempts = 0;
  record.requestHeadBytes = 0;
  record.requestBodyBytes = 0;
  record.responseHeadBytes = 0;
  record.responseBodyBytes = 0;
  record.startedAt = startedAt;
  record.duration = 0;
}
