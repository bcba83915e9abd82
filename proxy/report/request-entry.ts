import type { RequestRecord } from '../http1/request-record.ts';
import { EMPTY_ENTRY, type AccessEntry } from './access-entry.ts';

/** Whether an exchange is one that an operator wants to hear of: refused or failed here, or an error of the upstream. */
export function hasFailed({ status, flags, detail }: RequestRecord): boolean {
  return status === 0 || status >= 500 || flags !== '-' || detail !== 'via_upstream';
}

/** The part of an access entry that is the request's own. */
export function requestEntry(record: RequestRecord, now: number): AccessEntry {
  const { request } = record;
  return {
    ...EMPTY_ENTRY,
    startTime: now - record.duration,
    method: request?.method ?? '',
    path: request?.path ?? '',
    protocol: request === undefined ? '' : `HTTP/1.${request.minor}`,
    responseCode: record.status,
    responseFlags: record.flags,
    responseCodeDetails: record.detail,
    upstreamTransportFailureReason: record.upstreamFailure,
    bytesReceived: record.requestBodyBytes,
    bytesSent: record.responseBodyBytes,
    duration: record.duration,
    forwardedFor: request?.get('x-forwarded-for') ?? '',
    userAgent: request?.get('user-agent') ?? '',
    requestId: request?.get('x-request-id') ?? '',
    authority: request?.authority ?? '',
    upstreamHost: record.upstream,
  };
}

/** `address:port`, with brackets where they are needed. */
export function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
