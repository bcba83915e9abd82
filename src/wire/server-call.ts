import type { ServerPeer } from './server-peer.ts';

/** One call as a handler sees it. */
export interface ServerCall {
  /** `/package.Service/Method`. */
  readonly method: string;
  /** Who is at the other end of the connection, as far as the transport proves it. */
  readonly peer: ServerPeer;
  /** When the caller stops waiting, in wall milliseconds; undefined if it never does. */
  readonly deadline: number | undefined;
  /** Aborted when the caller went away, its deadline passed, or the server stops under a stream. */
  readonly signal: AbortSignal;
  /** The values of one request header (lower case), in order; empty when it was not sent. */
  header(name: string): readonly string[];
}

/**
 * The token of `authorization: Bearer <token>`, or undefined where there is none.
 * Two such headers are none: which of them was meant cannot be known.
 */
export function bearerToken(call: Pick<ServerCall, 'header'>): string | undefined {
  const values = call.header('authorization');
  if (values.length !== 1) return undefined;
  // RFC 9110 11.1: the scheme's case does not matter.
  return /^bearer +(\S+)$/i.exec(values[0] ?? '')?.[1];
}

/** Istio's `ClusterID` header; as in istiod it counts only when there is exactly one value. */
export function clusterId(call: Pick<ServerCall, 'header'>): string | undefined {
  const values = call.header('clusterid');
  return values.length === 1 && values[0] !== '' ? values[0] : undefined;
}

/** A stream on which handler and caller both send, in any order. */
export interface ServerStream<Request, Response> {
  readonly call: ServerCall;
  /** Ends when the caller has sent its last message or is gone (`call.signal` tells which). Iterate it once. */
  readonly requests: AsyncIterable<Request>;
  /** Sends one message. False: the transport's buffer is full, wait for `drained()` before sending more. */
  send(response: Response): boolean;
  /** Resolves when sending is welcome again, and also when the call is over: look at `call.signal`. */
  drained(): Promise<void>;
}
