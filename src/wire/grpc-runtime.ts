import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

// grpc-js writes to the console by itself. What it has to say also reaches the call that it concerns, and our own
// logger is the only one that may write lines.
setLogVerbosity(logVerbosity.NONE);

/**
 * Options that every channel and server shares. channelz keeps counters and a record for each connection and stream,
 * which nobody reads here.
 */
export const COMMON_OPTIONS = { 'grpc.enable_channelz': 0 } as const;

/**
 * Pings find a peer that vanished without a FIN. Istio's defaults: 30 s between pings, 10 s for an answer
 * (pilot/pkg/features, keepalive options).
 */
export const KEEPALIVE_INTERVAL = 30_000;
export const KEEPALIVE_TIMEOUT = 10_000;
