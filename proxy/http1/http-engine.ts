import type { Clock } from '../../src/core/clock.ts';
import type { Logger } from '../../src/core/logger.ts';
import { BufferGarbage } from '../tcp/buffer-garbage.ts';
import type { Deadlines, DeadlineQueue } from '../tcp/deadlines.ts';

export interface HttpLimits {
  /** Milliseconds for a head, from its first byte, or from the start of the connection. Node's servers give 60 s. */
  readonly headTimeout: number;
  /** Milliseconds that a connection is kept open between requests; Envoy's default is 1 h. Longer than peers' pools. */
  readonly idleTimeout: number;
  /** Milliseconds without a byte in either direction of an exchange; 0 for ever, as Istio sets it. */
  readonly streamIdleTimeout: number;
  /**
   * Milliseconds without a byte from the upstream after which a client that has closed its direction is taken to have
   * left. Closing one direction and going away look alike, and after it the system tells nothing more of the client.
   */
  readonly halfClosedTimeout: number;
  /**
   * Milliseconds for which a client may owe something and do nothing: send none of the body that it announced, or read
   * none of the answer. Envoy's `stream_idle_timeout` is 5 min, which Istio switches off; 0 for ever.
   */
  readonly clientTimeout: number;
  /**
   * Milliseconds for a decision that needs others. Whoever asks them has a limit of its own, Istio's longest being
   * 10 min; this one holds where that fails.
   */
  readonly decisionTimeout: number;
  /** Protocols that a request may change to, in lower case. Never `h2c`. */
  readonly upgrades: readonly string[];
}

export const DEFAULT_HTTP_LIMITS: HttpLimits = Object.freeze({
  headTimeout: 60_000,
  idleTimeout: 3_600_000,
  streamIdleTimeout: 0,
  halfClosedTimeout: 10_000,
  clientTimeout: 300_000,
  decisionTimeout: 900_000,
  upgrades: Object.freeze(['websocket']),
});

/** Milliseconds to wait behind a last answer for the client to close: less, and unread bytes would reset the answer away. */
const LINGER = 1_000;

/** What all HTTP connections of one thread share. */
export interface HttpEngine {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: HttpLimits;
  readonly deadlines: Deadlines;
  readonly headDeadlines: DeadlineQueue;
  readonly idleDeadlines: DeadlineQueue;
  readonly streamDeadlines: DeadlineQueue;
  readonly halfClosedDeadlines: DeadlineQueue;
  readonly clientDeadlines: DeadlineQueue;
  readonly decisionDeadlines: DeadlineQueue;
  readonly lingerDeadlines: DeadlineQueue;
  /** Told of what bodies come in. */
  readonly garbage: BufferGarbage;
  /** The time as HTTP writes it (RFC 9110 5.6.7). */
  date(): string;
}

export interface HttpEngineOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deadlines: Deadlines;
  readonly limits?: Partial<HttpLimits>;
}

export function createHttpEngine({ clock, logger, deadlines, limits = {} }: HttpEngineOptions): HttpEngine {
  const all = { ...DEFAULT_HTTP_LIMITS, ...limits };
  let second = -1;
  let date = '';
  return Object.freeze({
    clock,
    logger,
    limits: all,
    deadlines,
    headDeadlines: deadlines.queue(all.headTimeout),
    idleDeadlines: deadlines.queue(all.idleTimeout),
    streamDeadlines: deadlines.queue(all.streamIdleTimeout),
    halfClosedDeadlines: deadlines.queue(all.halfClosedTimeout),
    clientDeadlines: deadlines.queue(all.clientTimeout),
    decisionDeadlines: deadlines.queue(all.decisionTimeout),
    lingerDeadlines: deadlines.queue(LINGER),
    garbage: new BufferGarbage(),
    date: () => {
      const now = Math.floor(clock.now() / 1000);
      if (now !== second) {
        second = now;
        date = new Date(now * 1000).toUTCString();
      }
      return date;
    },
  });
}
