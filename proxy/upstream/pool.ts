import { reasonOf } from '../../src/core/errors.ts';
import { cancelDeadline, type DeadlineQueue, type Deadlines } from '../tcp/deadlines.ts';
import { UpstreamConnection, type ConnectionOwner, type UpstreamTransport } from './upstream-connection.ts';

/** Why no connection was had, as Envoy's response flags: overflow, connection failure, no healthy upstream. */
export type UpstreamFailure = 'UO' | 'UF' | 'UH';

export interface UpstreamWaiter {
  /** Here it is. `reused` says that it has been idle, so that the upstream may just be closing it. */
  onUpstream(connection: UpstreamConnection, reused: boolean): void;
  onUpstreamFailure(failure: UpstreamFailure, reason: string): void;
}

export interface UpstreamLimits {
  /** Open connections, idle ones and those still connecting included. Istio's default is none: 2^32-1. */
  readonly maxConnections: number;
  /** Requests that wait for a connection. */
  readonly maxPending: number;
  /** Requests on one connection; 0 for any number. */
  readonly maxRequests: number;
  /** Milliseconds for TCP and TLS together; Istio's default is 10 s. */
  readonly connectTimeout: number;
  /**
   * Milliseconds that an idle connection is kept. It must be shorter than the server's own, or requests run into its
   * close: Node's servers close after 5 s and announce it, gunicorn's after 2 s and do not.
   */
  readonly idleTimeout: number;
}

export const DEFAULT_UPSTREAM_LIMITS: UpstreamLimits = Object.freeze({
  maxConnections: 2 ** 32 - 1,
  // A queue without end is memory without end; at a thousand waiting requests the upstream is not coming back in time.
  maxPending: 1024,
  maxRequests: 0,
  connectTimeout: 10_000,
  idleTimeout: 4_000,
});

export interface UpstreamPoolOptions {
  readonly transport: UpstreamTransport;
  readonly deadlines: Deadlines;
  readonly limits?: Partial<UpstreamLimits>;
}

/**
 * Keep-alive connections to one destination. The most recently used is lent first, so that a pool shrinks when load
 * does; requests that must wait are served in their order.
 *
 * An idle connection is lent only after the event loop has polled once more: whatever the upstream sent or closed before
 * the request came has been seen by then, and a poisoned or closed connection is not lent (undici's
 * GHSA-35p6-xmwp-9g52). That takes two turns of `setImmediate`: the first may still belong to the poll that brought the
 * request. All requests of one turn share them; measured, the second costs 2 µs of 25 a request. They must not be
 * unref'd: an unref'd immediate does not wake the loop, and the request would wait for the next event.
 */
export class UpstreamPool implements ConnectionOwner {
  readonly #transport: UpstreamTransport;
  readonly #deadlines: Deadlines;
  readonly #limits: UpstreamLimits;
  readonly #connectDeadlines: DeadlineQueue;
  readonly #idleDeadlines: DeadlineQueue;
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting = new Set<UpstreamWaiter>();
  #connecting = 0;
  #scheduled = false;
  #closed = false;

  constructor({ transport, deadlines, limits = {} }: UpstreamPoolOptions) {
    this.#transport = transport;
    this.#deadlines = deadlines;
    this.#limits = { ...DEFAULT_UPSTREAM_LIMITS, ...limits };
    this.#connectDeadlines = deadlines.queue(this.#limits.connectTimeout);
    this.#idleDeadlines = deadlines.queue(this.#limits.idleTimeout);
  }

  /** `address:port`, for logs and records. */
  get destination(): string {
    return this.#transport.destination;
  }

  get open(): number {
    return this.#all.size;
  }

  get idle(): number {
    return this.#idle.length;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Asks for a connection. The answer never comes before this call returns, except for a failure that is certain. */
  acquire(waiter: UpstreamWaiter): void {
    if (this.#closed) {
      waiter.onUpstreamFailure('UH', 'the pool is closed');
    } else if (this.#idle.length > this.#waiting.size) {
      this.#waiting.add(waiter);
      this.#schedule();
    } else if (this.#all.size < this.#limits.maxConnections) {
      this.#waiting.add(waiter);
      this.#open();
    } else if (this.#waiting.size < this.#limits.maxPending) {
      this.#waiting.add(waiter);
    } else {
      waiter.onUpstreamFailure('UO', `${this.#waiting.size} requests wait for ${this.#all.size} connections`);
    }
  }

  /** The waiter has gone. */
  cancel(waiter: UpstreamWaiter): void {
    this.#waiting.delete(waiter);
  }

  /**
   * Gives a connection back after a complete exchange.
   *
   * @param announced seconds after which the upstream said that it will close it
   */
  release(connection: UpstreamConnection, announced: number | undefined): void {
    connection.user = undefined;
    if (connection.closed) return;
    const { maxRequests, idleTimeout } = this.#limits;
    // One second less than announced: the answer and the next request are on their way for some time.
    const keep = announced === undefined ? idleTimeout : Math.min(idleTimeout, (announced - 1) * 1000);
    if (this.#closed || keep <= 0 || (maxRequests > 0 && connection.uses >= maxRequests)) {
      connection.discard('not kept');
      return;
    }
    if (connection.socket.isPaused()) connection.socket.resume();
    this.#idle.push(connection);
    (keep === idleTimeout ? this.#idleDeadlines : this.#deadlines.queue(keep)).add(connection.deadline);
    if (this.#waiting.size > 0) this.#schedule();
  }

  /** Closes what is idle and refuses what comes; exchanges under way end as they would have. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#idle.slice()) connection.discard('the pool is closed');
    for (let waiter = this.#next(); waiter !== undefined; waiter = this.#next()) {
      waiter.onUpstreamFailure('UH', 'the pool is closed');
    }
  }

  onReady(connection: UpstreamConnection): void {
    this.#connecting -= 1;
    cancelDeadline(connection.deadline);
    const waiter = this.#next();
    if (waiter !== undefined) this.#lend(connection, waiter, false);
    else this.release(connection, undefined);
  }

  onClosed(connection: UpstreamConnection, reason: string): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (!connection.ready) {
      this.#connecting -= 1;
      // Each attempt stands for one waiter; the others have attempts of their own, or get them below.
      if (this.#waiting.size > this.#connecting + this.#idle.length) {
        this.#next()?.onUpstreamFailure('UF', reason);
      }
    }
    this.#openForWaiting();
  }

  #open(): void {
    let connection: UpstreamConnection;
    try {
      connection = new UpstreamConnection(this, this.#transport);
    } catch (error) {
      // Not even tried, as with a certificate that OpenSSL does not take.
      this.#next()?.onUpstreamFailure('UF', reasonOf(error));
      return;
    }
    this.#connecting += 1;
    this.#all.add(connection);
    this.#connectDeadlines.add(connection.deadline);
  }

  #openForWaiting(): void {
    while (
      !this.#closed &&
      this.#waiting.size > this.#connecting + this.#idle.length &&
      this.#all.size < this.#limits.maxConnections
    ) {
      this.#open();
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#polled);
  }

  readonly #polled = (): void => {
    setImmediate(this.#serve);
  };

  readonly #serve = (): void => {
    this.#scheduled = false;
    while (this.#waiting.size > 0) {
      const connection = this.#idle.pop();
      if (connection === undefined) break;
      cancelDeadline(connection.deadline);
      // Seen to be destroyed, but its `close` event is still to come.
      if (connection.socket.destroyed || !connection.socket.writable) {
        connection.discard('closed while idle');
        continue;
      }
      const waiter = this.#next();
      if (waiter !== undefined) this.#lend(connection, waiter, true);
    }
    this.#openForWaiting();
  };

  #lend(connection: UpstreamConnection, waiter: UpstreamWaiter, reused: boolean): void {
    connection.uses += 1;
    waiter.onUpstream(connection, reused);
  }

  /** Takes the one that waits longest out of the queue. */
  #next(): UpstreamWaiter | undefined {
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter);
      return waiter;
    }
    return undefined;
  }
}
