/**
 * One line of the access log, with the fields of Envoy's default format as Istio names them
 * (pilot/pkg/model/telemetry_logging.go), and the two identities, which a person who reads a denial needs first.
 * Empty text means that there is nothing to say.
 */
export interface AccessEntry {
  /** Wall milliseconds. */
  readonly startTime: number;
  readonly method: string;
  readonly path: string;
  readonly protocol: string;
  readonly responseCode: number;
  readonly responseFlags: string;
  readonly responseCodeDetails: string;
  readonly connectionTerminationDetails: string;
  readonly upstreamTransportFailureReason: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Milliseconds. */
  readonly duration: number;
  /** Milliseconds that the upstream took; undefined where none answered. */
  readonly upstreamServiceTime: number | undefined;
  readonly forwardedFor: string;
  readonly userAgent: string;
  readonly requestId: string;
  readonly authority: string;
  readonly upstreamHost: string;
  readonly upstreamCluster: string;
  readonly upstreamLocalAddress: string;
  readonly downstreamLocalAddress: string;
  readonly downstreamRemoteAddress: string;
  readonly requestedServerName: string;
  readonly routeName: string;
  readonly sourcePrincipal: string;
  readonly destinationPrincipal: string;
  /** Why policy denied it: policy, rule and field. */
  readonly denial: string;
}

/** What is the same for all lines of a connection, or not known; to be spread. */
export const EMPTY_ENTRY: AccessEntry = Object.freeze({
  startTime: 0,
  method: '',
  path: '',
  protocol: '',
  responseCode: 0,
  responseFlags: '-',
  responseCodeDetails: '',
  connectionTerminationDetails: '',
  upstreamTransportFailureReason: '',
  bytesReceived: 0,
  bytesSent: 0,
  duration: 0,
  upstreamServiceTime: undefined,
  forwardedFor: '',
  userAgent: '',
  requestId: '',
  authority: '',
  upstreamHost: '',
  upstreamCluster: '',
  upstreamLocalAddress: '',
  downstreamLocalAddress: '',
  downstreamRemoteAddress: '',
  requestedServerName: '',
  routeName: '',
  sourcePrincipal: '',
  destinationPrincipal: '',
  denial: '',
});
