import type { OnReadOpts, Socket } from 'node:net';
import type { EndpointHealth } from './endpoint-health.ts';
import { cancelDeadline, DeadlineEntry, type Expiring } from '../tcp/deadlines.ts';
import { CONNECT_TIMEOUT, failureWords } from '../tcp/failure-words.ts';
import { ReadBuffer } from './read-buffer.ts';

/** Who uses an upstream connection at the moment. */
export interface UpstreamUser {
  /** Bytes from the upstream. The buffer is overwritten after the call: copy what is kept, or lend the connection's own. */
  onUpstreamData(bytes: Buffer, length: number): void;
  /** The upstream has closed its direction cleanly. */
  onUpstreamEnd(): void;
  /** The connection is gone; `reason` is empty after a clean close. */
  onUpstreamClosed(reason: string): void;
  /** What was written has left the process; more may be written. */
  onUpstreamDrain(): void;
  /** What was lent of the connection's own buffer is written: it may be read on. */
  onUpstreamReturned(): void;
}

/**
 * Every read from an upstream goes into this one buffer (64 KiB is what libuv asks for at most), so that an idle
 * connection holds none and a read allocates nothing. It works because a read and its callback are one step. Long
 * answers alone have a buffer of their connection's own.
 */
const RECEIVED = Buffer.allocUnsafeSlow(64 * 1024);

/** The longest TLS record. A read as long as this is seldom the last. */
export const FULL_RECORD = 16 * 1024;

/** What opens a socket for the pool: the engine brings how it wants to read. */
export interface UpstreamTransport {
  /** `address:port`, for logs and records. */
  readonly destination: string;
  /** Without `onread` the socket emits `data` as any other. */
  connect(onread?: OnReadOpts): Socket;
  /** The event after which the socket may be used. */
  readonly readyEvent: 'connect' | 'secureConnect';
  /** Judges the peer once the handshake is over: why it is not the one expected, or undefined. */
  check?(socket: Socket): string | undefined;
}

/** The pool, as its connections see it. */
export interface ConnectionOwner {
  readonly destination: string;
  readonly health: EndpointHealth | undefined;
  release(connection: UpstreamConnection, announced: number | undefined): void;
  /** Milliseconds since a connection was lent that had been idle. */
  sinceLent(connection: UpstreamConnection): number;
  /** Connected, and the peer is the one expected. */
  onReady(connection: UpstreamConnection): void;
  /** Gone, whether it was ready or not. */
  onClosed(connection: UpstreamConnection, reason: string): void;
}

/** One connection to an upstream, owned by its pool, lent to one user at a time. */
export class UpstreamConnection implements Expiring {
  readonly deadline: DeadlineEntry = new DeadlineEntry(this);
  readonly socket: Socket;
  readonly pool: ConnectionOwner;
  user: UpstreamUser | undefined;
  /** How many requests it was lent for. */
  uses = 0;
  /** Milliseconds on the clock's `elapsed`, where somebody cares about its age. */
  openedAt = 0;
  /** When it was lent last, where it had been idle. */
  lentAt = 0;
  ready = false;
  closed = false;
  #reason = '';
  #own: ReadBuffer | undefined;
  #corked = false;

  constructor(pool: ConnectionOwner, transport: UpstreamTransport) {
    this.pool = pool;
    this.socket = transport.connect({ buffer: () => this.#next(), callback: this.#onRead });
    const socket = this.socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#reason ||= failureWords(error);
      // Node tells of an alert behind the handshake and goes on: what ends then has not ended in order.
      socket.destroy();
    });
    socket.once(transport.readyEvent, () => {
      const refusal = transport.check?.(socket);
      if (refusal === undefined) {
        this.ready = true;
        pool.onReady(this);
      } else {
        this.discard(refusal);
      }
    });
    socket.on('end', () => {
      if (this.user === undefined) this.discard('closed while idle');
      else this.user.onUpstreamEnd();
    });
    socket.on('drain', () => this.user?.onUpstreamDrain());
    socket.once('close', () => {
      this.closed = true;
      cancelDeadline(this.deadline);
      const user = this.user;
      this.user = undefined;
      this.#narrow();
      pool.onClosed(this, this.#reason);
      user?.onUpstreamClosed(this.#reason);
    });
  }

  /** Its own buffer, where what was just read lies in it; while it is lent, the socket must be paused. */
  ownBuffer(bytes: Buffer): ReadBuffer | undefined {
    return this.#own?.bytes.buffer === bytes.buffer ? this.#own : undefined;
  }

  /** Whether a write still holds what was read last. */
  get lent(): boolean {
    return this.#own?.lent === true;
  }

  /**
   * The answer is long: from the next read to its end it goes into a larger buffer, which is this connection's own. Call
   * it while what was read is taken.
   */
  widen(): void {
    this.#own ??= ReadBuffer.take(() => this.user?.onUpstreamReturned());
  }

  #narrow(): void {
    this.#own?.release();
    this.#own = undefined;
  }

  /**
   * Has all that is written in this turn of the loop leave in one system call. Not for TLS, where it would first be
   * copied into one piece.
   */
  batch(): void {
    if (this.#corked || 'encrypted' in this.socket) return;
    this.#corked = true;
    this.socket.cork();
    setImmediate(this.#uncork);
  }

  readonly #uncork = (): void => {
    this.#corked = false;
    this.socket.uncork();
  };

  /** Closes at once. A user that is still there hears of it. */
  discard(reason: string): void {
    this.#reason ||= reason;
    this.socket.destroy();
  }

  /** Idle too long, or too long in connecting. */
  onDeadline(): void {
    this.discard(this.ready ? 'idle timeout' : CONNECT_TIMEOUT);
  }

  /** Node asks after each read what the next one goes into. */
  #next(): Buffer {
    // A TLS socket that was told to stop still delivers what it has decrypted: not into a buffer that is lent.
    if (this.#own === undefined || (this.#own.lent && 'encrypted' in this.socket)) return RECEIVED;
    return this.#own.bytes;
  }

  readonly #onRead = (bytesRead: number, bytes: Uint8Array): boolean => {
    // Nobody asked: an answer that came before its question would be given to the wrong one (response queue poisoning).
    if (this.user === undefined) this.discard('unsolicited bytes');
    else
      this.user.onUpstreamData(bytes === RECEIVED ? RECEIVED : Buffer.from(bytes.buffer, bytes.byteOffset), bytesRead);
    // Here and nowhere else, since only after a read does Node ask for another buffer.
    if (this.#own !== undefined && this.user === undefined) this.#narrow();
    // Back-pressure goes by pause() and resume(), which these sockets understand too.
    return true;
  };
}
