import type { Socket } from 'node:net';
import { BufferGarbage } from './buffer-garbage.ts';
import type { GrowingReader } from './growing-reader.ts';

/** Of all relays of this thread. */
const GARBAGE = new BufferGarbage();

export interface TcpRelayResult {
  /** Bytes from the client to the upstream. */
  readonly received: number;
  /** Bytes from the upstream to the client. */
  readonly sent: number;
  /** Why it ended; empty when both sides closed in order. */
  readonly reason: string;
}

export interface TcpRelayOptions {
  /** Both sockets must be half-open ones (`allowHalfOpen`): each direction ends by itself. */
  readonly downstream: Socket;
  readonly upstream: Socket;
  /** What `upstream` was made to read with, where it was. */
  readonly reader?: GrowingReader | undefined;
  /** Called once, when both sockets have closed. */
  readonly onClose: (result: TcpRelayResult) => void;
}

/**
 * Passes bytes both ways between two sockets, unread. A direction that ends is ended on the other side and no more; a
 * side that takes no more stops the reading of the other; a side that breaks breaks the other, so that nobody takes a
 * torn stream for a whole one.
 */
export class TcpRelay {
  readonly #downstream: Socket;
  readonly #upstream: Socket;
  readonly #onClose: (result: TcpRelayResult) => void;
  #received = 0;
  #sent = 0;
  #open = 2;
  #reason = '';

  constructor({ downstream, upstream, reader, onClose }: TcpRelayOptions) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#onClose = onClose;
    downstream.on('data', (bytes: Buffer) => {
      this.#received += bytes.length;
      GARBAGE.note(bytes.length);
      if (!upstream.write(bytes)) downstream.pause();
    });
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
    breakSocket(this.#downstream);
    breakSocket(this.#upstream);
  }

  #watch(socket: Socket, other: Socket): void {
    socket.setNoDelay(true);
    socket.on('drain', () => other.resume());
    socket.on('end', () => other.end());
    socket.on('error', (error: Error & { code?: string }) => {
      this.#reason ||= error.code ?? error.message;
    });
    const closed = (): void => {
      this.#open -= 1;
      if (socket.errored !== null || !socket.readableEnded) breakSocket(other);
      else other.end();
      if (this.#open === 0) this.#onClose({ received: this.#received, sent: this.#sent, reason: this.#reason });
    };
    if (socket.closed) queueMicrotask(closed);
    else socket.once('close', closed);
    if (socket.readableEnded) other.end();
    socket.resume();
  }
}

/**
 * Closes without an orderly end: a reset, or TLS without its close_notify. A Unix socket has neither, and Node throws
 * where one is to be reset; it has no port, nor has what was never connected.
 */
export function breakSocket(socket: Socket): void {
  // Node cannot reset while its own orderly end is under way, and would leave the descriptor open (libuv: EINVAL).
  const ending = socket.writableEnded && !socket.writableFinished;
  if ('encrypted' in socket || socket.localPort === undefined || ending) socket.destroy();
  else socket.resetAndDestroy();
}
