import { reasonOf } from '../../src/core/errors.ts';
import { Circuit } from './circuit.ts';
import { DEFAULT_UPSTREAM_LIMITS, type UpstreamLimits } from './upstream-limits.ts';
import type { EndpointHealth } from './endpoint-health.ts';
import { cancelDeadline, type DeadlineQueue, type Deadlines } from '../tcp/deadlines.ts';
import { CONNECT_TIMEOUT } from '../tcp/failure-words.ts';
import { UpstreamConnection, type ConnectionOwner, type UpstreamTransport } from './upstream-connection.ts';

/** Why no connection was had, as Envoy's response flags: overflow, connection failure, no healthy upstream. */
export type UpstreamFailure = 'UO' | 'UF' | 'UH';

export interface UpstreamWaiter {
  /** Here it is. `reused` says that it has been idle, so that the upstream may just be closing it. */
  onUpstream(connection: UpstreamConnection, reused: boolean): void;
  onUpstreamFailure(failure: UpstreamFailure, reason: string): void;
}

export interface UpstreamPoolOptions {
  readonly transport: UpstreamTransport;
  readonly deadlines: Deadlines;
  readonly limits?: Partial<UpstreamLimits>;
  /** What the pool shares with others of its destination; its own where there are none. */
  readonly circuit?: Circuit;
}

/**
 * Requests that wait for one of as many connections as there may be, where nobody has bounded them: a queue without end is
 * memory without end, and at a thousand waiting requests the upstream is not coming back in time.
 */
const LONGEST_QUEUE = 1024;

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
  readonly circuit: Circuit;
  /** Whoever wants to know what becomes of calls to this endpoint. */
  health: EndpointHealth | undefined;
  #limits: UpstreamLimits;
  #connectDeadlines: DeadlineQueue;
  #idleDeadlines: DeadlineQueue;
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting = new Set<UpstreamWaiter>();
  #connecting = 0;
  /** Of the circuit's pending requests those that wait here. */
  #pending = 0;
  #scheduled = false;
  #closed = false;

  constructor({ transport, deadlines, limits = {}, circuit = new Circuit() }: UpstreamPoolOptions) {
    this.#transport = transport;
    this.#deadlines = deadlines;
    this.circuit = circuit;
    this.#limits = { ...DEFAULT_UPSTREAM_LIMITS, ...limits };
    this.#connectDeadlines = deadlines.queue(this.#limits.connectTimeout);
    this.#idleDeadlines = deadlines.queue(this.#limits.idleTimeout);
    circuit.pools.add(this);
  }

  get limits(): UpstreamLimits {
    return this.#limits;
  }

  /** Other limits from now on; what is under way goes on by those that it began with. */
  configure(limits: UpstreamLimits): void {
    this.#limits = limits;
    this.#connectDeadlines = this.#deadlines.queue(limits.connectTimeout);
    this.#idleDeadlines = this.#deadlines.queue(limits.idleTimeout);
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

  /** Requests under way or waiting. */
  get load(): number {
    return this.#all.size - this.#connecting - this.#idle.length + this.#waiting.size;
  }

  /** Asks for a connection. The answer never comes before this call returns, except for a failure that is certain. */
  acquire(waiter: UpstreamWaiter): void {
    if (this.#closed) {
      waiter.onUpstreamFailure('UH', 'the pool is closed');
    } else if (this.circuit.full) {
      this.circuit.counts.upstream_rq_pending_overflow += 1;
      waiter.onUpstreamFailure('UO', `${this.circuit.active} requests are under way`);
    } else if (this.#idle.length > this.#waiting.size) {
      this.#waiting.add(waiter);
      this.#schedule();
    } else {
      this.#acquireNew(waiter);
    }
  }

  #acquireNew(waiter: UpstreamWaiter): void {
    const { circuit } = this;
    const mayOpen = this.#mayOpen();
    if (circuit.pending >= circuit.limits.maxPending || (!mayOpen && this.#waiting.size >= this.#longestQueue)) {
      circuit.counts.upstream_rq_pending_overflow += 1;
      const reason = `${circuit.pending} requests wait for ${circuit.connections} connections`;
      waiter.onUpstreamFailure('UO', reason);
      return;
    }
    circuit.counts.upstream_rq_pending_total += 1;
    this.#waiting.add(waiter);
    this.#countPending();
    if (mayOpen) this.#open();
    else circuit.counts.upstream_cx_overflow += 1;
  }

  get #longestQueue(): number {
    const { maxPending } = this.circuit.limits;
    return maxPending === Infinity ? LONGEST_QUEUE : maxPending;
  }

  /** Each endpoint may have one connection, or those that share the bound would wait for each other for ever. */
  #mayOpen(): boolean {
    return this.#all.size === 0 || this.circuit.connections < this.circuit.limits.maxConnections;
  }

  /** Who waits for an idle connection to be looked at is not pending: it is there. */
  #countPending(): void {
    const pending = Math.max(0, this.#waiting.size - this.#idle.length);
    this.circuit.pending += pending - this.#pending;
    this.#pending = pending;
  }

  /** The waiter has gone. */
  cancel(waiter: UpstreamWaiter): void {
    if (this.#waiting.delete(waiter)) this.#countPending();
  }

  /**
   * Gives a connection back after a complete exchange.
   *
   * @param announced seconds after which the upstream said that it will close it
   */
  release(connection: UpstreamConnection, announced: number | undefined): void {
    connection.user = undefined;
    if (connection.closed) return;
    const { maxRequests, idleTimeout, maxAge } = this.#limits;
    // One second less than announced: the answer and the next request are on their way for some time.
    const keep = announced === undefined ? idleTimeout : Math.min(idleTimeout, (announced - 1) * 1000);
    const spent =
      (maxRequests > 0 && connection.uses >= maxRequests) ||
      (maxAge > 0 && this.#deadlines.elapsed() - connection.openedAt >= maxAge);
    if (this.#closed || keep <= 0 || spent) {
      connection.discard('not kept');
      return;
    }
    if (connection.socket.isPaused()) connection.socket.resume();
    this.#idle.push(connection);
    (keep === idleTimeout ? this.#idleDeadlines : this.#deadlines.queue(keep)).add(connection.deadline);
    if (this.#waiting.size === 0) return;
    this.#countPending();
    this.#schedule();
  }

  /** Closes what is idle and refuses what comes; exchanges under way end as they would have. */
  close(): void {
    this.#closed = true;
    if (this.#all.size === 0) this.circuit.pools.delete(this);
    for (const connection of this.#idle.slice()) connection.discard('the pool is closed');
    for (let waiter = this.#next(); waiter !== undefined; waiter = this.#next()) {
      this.#countPending();
      waiter.onUpstreamFailure('UH', 'the pool is closed');
    }
  }

  sinceLent({ lentAt }: UpstreamConnection): number {
    return this.#deadlines.elapsed() - lentAt;
  }

  onReady(connection: UpstreamConnection): void {
    this.#connecting -= 1;
    cancelDeadline(connection.deadline);
    const { keepAliveTime, maxAge } = this.#limits;
    if (keepAliveTime > 0) connection.socket.setKeepAlive(true, keepAliveTime);
    if (maxAge > 0) connection.openedAt = this.#deadlines.elapsed();
    const waiter = this.#next();
    this.#countPending();
    if (waiter !== undefined) this.#lend(connection, waiter, false);
    else this.release(connection, undefined);
  }

  onClosed(connection: UpstreamConnection, reason: string): void {
    this.#all.delete(connection);
    this.circuit.connections -= 1;
    if (this.#closed && this.#all.size === 0) this.circuit.pools.delete(this);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (!connection.ready) {
      this.#connecting -= 1;
      this.circuit.counts.upstream_cx_connect_fail += 1;
      if (reason === CONNECT_TIMEOUT) this.circuit.counts.upstream_cx_connect_timeout += 1;
      this.health?.onConnectFailure();
      // Each attempt stands for one waiter; the others have attempts of their own, or get them below.
      if (this.#waiting.size > this.#connecting + this.#idle.length) {
        const waiter = this.#next();
        this.#countPending();
        waiter?.onUpstreamFailure('UF', reason);
      }
    }
    this.#countPending();
    this.#openForWaiting();
  }

  #open(): void {
    let connection: UpstreamConnection;
    try {
      connection = new UpstreamConnection(this, this.#transport);
    } catch (error) {
      // Not even tried, as with a certificate that OpenSSL does not take.
      const waiter = this.#next();
      this.#countPending();
      waiter?.onUpstreamFailure('UF', reasonOf(error));
      return;
    }
    this.#connecting += 1;
    this.circuit.connections += 1;
    this.circuit.counts.upstream_cx_total += 1;
    this.#all.add(connection);
    this.#connectDeadlines.add(connection.deadline);
  }

  #openForWaiting(): void {
    while (!this.#closed && this.#waiting.size > this.#connecting + this.#idle.length && this.#mayOpen()) this.#open();
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
    if (this.#waiting.size === 0) return;
    this.#countPending();
    this.#openForWaiting();
  };

  #lend(connection: UpstreamConnection, waiter: UpstreamWaiter, reused: boolean): void {
    connection.uses += 1;
    if (reused) connection.lentAt = this.#deadlines.elapsed();
    this.circuit.counts.upstream_rq_total += 1;
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
