import type { Socket } from 'node:net';
import { readInto } from './read-into.ts';

/** What libuv asks the kernel for at most. */
const RECEIVED_BYTES = 64 * 1024;
/** The longest TLS record, which is the most that a TLS socket delivers at once. */
const TLS_RECORD = 16 * 1024;

/** All sockets read into this one: a read and what is done with its bytes here are one step. */
const RECEIVED = Buffer.allocUnsafeSlow(RECEIVED_BYTES);

/**
 * Gives `take` each piece that an accepted socket receives, which may keep it. As with `data`, nothing is given while the
 * socket is paused: the socket keeps it.
 *
 * A piece is copied out of a buffer that all sockets share, which costs a fraction of the memory that Node makes for each
 * read. Behind one as long as a TLS record there are usually more: the next then has memory of its own, and is not copied.
 */
export function readChunks(socket: Socket, take: (chunk: Buffer) => void): void {
  // What was read before, what comes while it is paused, and all where Node is another.
  socket.on('data', take);
  const longest = 'encrypted' in socket ? TLS_RECORD : RECEIVED_BYTES;
  let into = RECEIVED;
  let long = false;
  readInto(socket, {
    first: RECEIVED,
    next: () => {
      if (long) return (into = Buffer.allocUnsafeSlow(longest));
      if (into === RECEIVED) return undefined;
      return (into = RECEIVED);
    },
    callback: (length) => {
      long = length >= TLS_RECORD;
      const chunk = long && into !== RECEIVED ? into.subarray(0, length) : copyOf(into, length);
      // In its turn: before it comes what the socket holds.
      if (socket.readableLength > 0 || socket.isPaused()) return socket.push(chunk);
      take(chunk);
      return true;
    },
  });
}

function copyOf(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}
