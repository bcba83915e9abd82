import type { Socket } from 'node:net';
import { breakSocket } from './break-socket.ts';
import { BufferGarbage } from './buffer-garbage.ts';
import { cancelDeadline, DeadlineEntry, type DeadlineQueue, type Expiring } from './deadlines.ts';
import { CONNECT_TIMEOUT, failureWords } from './failure-words.ts';
import { GrowingReader } from './growing-reader.ts';
import type { IdleLimit } from './idle-limit.ts';

/** Of all relays of this thread. */
const GARBAGE = new BufferGarbage();

export interface TcpRelayResult {
  /** Bytes from the client to the upstream. */
  readonly received: number;
  /** Bytes from the upstream to the client. */
  readonly sent: number;
  /** Why it ended; empty when both sides closed in order. */
  readonly reason: string;
  /** Who broke it, as Envoy's response flags: the client, the upstream, or an upstream that was never reached. */
  readonly flags: '-' | 'DC' | 'UC' | 'UF';
}

export interface TcpRelayOptions {
  /** Both sockets must be half-open ones (`allowHalfOpen`): each direction ends by itself. */
  readonly downstream: Socket;
  readonly upstream: Socket;
  /** What `upstream` was made to read with, where it was. */
  readonly reader?: GrowingReader | undefined;
  /** How long `upstream` may take to be open, where nobody else sees to that. */
  readonly connect?: DeadlineQueue | undefined;
  /** For how long nothing may pass; any time where nothing is said. */
  readonly idle?: IdleLimit | undefined;
  /** Called once, when both sockets have closed. */
  readonly onClose: (result: TcpRelayResult) => void;
}

/** Envoy's word for it, as its access log has it. */
const IDLE = 'tcp_session_idle_timeout';

/**
 * Passes bytes both ways between two sockets, unread. A direction that ends is ended on the other side and no more; a
 * side that takes no more stops the reading of the other; a side that breaks breaks the other, so that nobody takes a
 * torn stream for a whole one.
 */
export class TcpRelay implements Expiring {
  readonly deadline: DeadlineEntry = new DeadlineEntry(this);
  readonly #downstream: Socket;
  readonly #upstream: Socket;
  readonly #idle: IdleLimit | undefined;
  readonly #onClose: (result: TcpRelayResult) => void;
  #received = 0;
  #sent = 0;
  #open = 2;
  #reason = '';
  #flags: TcpRelayResult['flags'] | undefined;
  #reached: boolean;
  /** How many bytes had passed when that was last looked at, and how often it was the same since. */
  #passed = 0;
  #unchanged = 0;

  constructor({ downstream, upstream, reader, connect, idle, onClose }: TcpRelayOptions) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#idle = idle;
    this.#onClose = onClose;
    this.#reached = !upstream.connecting;
    if (!this.#reached) {
      upstream.once('connect', () => {
        this.#reached = true;
        cancelDeadline(this.deadline);
        idle?.queue.add(this.deadline);
      });
    }
    // What it has read already, and all of it where its own reading cannot be had.
    downstream.on('data', (bytes: Buffer) => {
      this.#received += bytes.length;
      GARBAGE.note(bytes.length);
      if (!upstream.write(bytes)) downstream.pause();
    });
    new GrowingReader().adopt(downstream, upstream, (length) => (this.#received += length));
    if (reader === undefined) {
      upstream.on('data', (bytes: Buffer) => {
        this.#sent += bytes.length;
        if (!downstream.write(bytes)) upstream.pause();
      });
    } else {
      reader.attach(upstream, downstream, (length) => (this.#sent += length));
    }
    this.#watch(downstream, upstream);
    this.#watch(upstream, downstream);
    (this.#reached ? idle?.queue : connect)?.add(this.deadline);
  }

  /** Bytes from the client so far. */
  get received(): number {
    return this.#received;
  }

  /** Bytes to the client so far. */
  get sent(): number {
    return this.#sent;
  }

  /** Breaks both sides at once. */
  abort(reason: string): void {
    this.#reason ||= reason;
    this.#flags ??= '-';
    breakSocket(this.#downstream);
    breakSocket(this.#upstream);
  }

  /** A part of the idle time is over, or all that there is to connect in. */
  onDeadline(): void {
    if (!this.#reached) {
      this.#reason ||= CONNECT_TIMEOUT;
      this.#flags ??= 'UF';
      breakSocket(this.#downstream);
      // A reset would wait until it is open.
      this.#upstream.destroy();
      return;
    }
    const passed = this.#received + this.#sent;
    this.#unchanged = passed === this.#passed ? this.#unchanged + 1 : 0;
    this.#passed = passed;
    if (this.#idle === undefined) return;
    if (this.#unchanged >= this.#idle.looks) this.abort(IDLE);
    else this.#idle.queue.add(this.deadline);
  }

  #watch(socket: Socket, other: Socket): void {
    socket.setNoDelay(true);
    socket.on('drain', () => other.resume());
    socket.on('end', () => other.end());
    socket.on('error', (error) => {
      this.#reason ||= failureWords(error);
      this.#brokenBy(socket);
      // Node tells of a broken record of TLS and goes on: the end that it tells of then would pass for an orderly one.
      socket.destroy();
    });
    const closed = (): void => {
      this.#open -= 1;
      if (socket.errored !== null || !socket.readableEnded) {
        this.#brokenBy(socket);
        breakSocket(other);
      } else {
        other.end();
      }
      if (this.#open === 0) this.#close();
    };
    if (socket.closed) queueMicrotask(closed);
    else socket.once('close', closed);
    if (socket.readableEnded) other.end();
    socket.resume();
  }

  #brokenBy(socket: Socket): void {
    // The first that breaks is the one that broke it.
    if (socket === this.#downstream) this.#flags ??= 'DC';
    else this.#flags ??= this.#reached ? 'UC' : 'UF';
  }

  #close(): void {
    cancelDeadline(this.deadline);
    const flags = this.#flags ?? '-';
    this.#onClose({ received: this.#received, sent: this.#sent, reason: this.#reason, flags });
  }
}
