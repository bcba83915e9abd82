import type { AccessEntry } from './access-entry.ts';
import { redactTarget, redactTokens } from '../http1/redact-target.ts';

export type AccessLogFormat = 'json' | 'text';

/** One line, its line break included. Whatever a peer sent, it stays one line. */
export function formatAccessEntry(entry: AccessEntry, format: AccessLogFormat): string {
  const shown = { ...entry, path: cut(redactTarget(entry.path)) };
  for (const field of CHOSEN_BY_PEERS) shown[field] = cut(redactTokens(entry[field]));
  return format === 'json' ? asJson(shown) : asText(shown);
}

const CHOSEN_BY_PEERS = ['forwardedFor', 'userAgent', 'requestId', 'authority', 'requestedServerName'] as const;

/** Characters of one field: who sends 60 KiB with each request that is denied must not fill the disk by it. */
const LONGEST_FIELD = 4_096;

function cut(text: string): string {
  return text.length <= LONGEST_FIELD ? text : text.slice(0, LONGEST_FIELD);
}

function asJson(entry: AccessEntry): string {
  const line = {
    start_time: new Date(entry.startTime).toISOString(),
    method: orNull(entry.method),
    path: orNull(entry.path),
    protocol: orNull(entry.protocol),
    response_code: entry.responseCode,
    response_flags: entry.responseFlags,
    response_code_details: orNull(entry.responseCodeDetails),
    connection_termination_details: orNull(entry.connectionTerminationDetails),
    upstream_transport_failure_reason: orNull(entry.upstreamTransportFailureReason),
    bytes_received: entry.bytesReceived,
    bytes_sent: entry.bytesSent,
    duration: Math.round(entry.duration),
    upstream_service_time: entry.upstreamServiceTime === undefined ? null : `${Math.round(entry.upstreamServiceTime)}`,
    x_forwarded_for: orNull(entry.forwardedFor),
    user_agent: orNull(entry.userAgent),
    request_id: orNull(entry.requestId),
    authority: orNull(entry.authority),
    upstream_host: orNull(entry.upstreamHost),
    upstream_cluster: orNull(entry.upstreamCluster),
    upstream_local_address: orNull(entry.upstreamLocalAddress),
    downstream_local_address: orNull(entry.downstreamLocalAddress),
    downstream_remote_address: orNull(entry.downstreamRemoteAddress),
    requested_server_name: orNull(entry.requestedServerName),
    route_name: orNull(entry.routeName),
    source_principal: orNull(entry.sourcePrincipal),
    destination_principal: orNull(entry.destinationPrincipal),
    ...(entry.denial === '' ? {} : { denial: entry.denial }),
  };
  // JSON escapes nothing above the space, and a terminal may obey what is above DEL.
  return `${escaped(JSON.stringify(line))}\n`;
}

/** Istio's EnvoyTextLogFormat, field by field. */
function asText(entry: AccessEntry): string {
  const request = [entry.method, entry.path, entry.protocol].map(orDash).join(' ');
  const time = entry.upstreamServiceTime === undefined ? '-' : Math.round(entry.upstreamServiceTime);
  const parts = [
    `[${new Date(entry.startTime).toISOString()}]`,
    quoted(request),
    entry.responseCode,
    bare(entry.responseFlags),
    bare(entry.responseCodeDetails),
    bare(entry.connectionTerminationDetails),
    quoted(entry.upstreamTransportFailureReason),
    entry.bytesReceived,
    entry.bytesSent,
    Math.round(entry.duration),
    time,
    quoted(entry.forwardedFor),
    quoted(entry.userAgent),
    quoted(entry.requestId),
    quoted(entry.authority),
    quoted(entry.upstreamHost),
    bare(entry.upstreamCluster),
    bare(entry.upstreamLocalAddress),
    bare(entry.downstreamLocalAddress),
    bare(entry.downstreamRemoteAddress),
    bare(entry.requestedServerName),
    bare(entry.routeName),
    // Behind Istio's own fields, and only where there is one: readers of those find them where they were.
    ...(entry.denial === '' ? [] : [quoted(entry.denial)]),
  ];
  return `${parts.join(' ')}\n`;
}

function orNull(text: string): string | null {
  return text === '' ? null : text;
}

function orDash(text: string): string {
  return text === '' ? '-' : text;
}

/** A field that is one word: white space in it would shift the ones behind. */
function bare(text: string): string {
  return escaped(orDash(text)).replaceAll(' ', '_');
}

function quoted(text: string): string {
  return `"${escaped(orDash(text)).replaceAll('"', '\\"')}"`;
}

/** Nobody outside may write a second line, or control somebody's terminal. */
function escaped(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
