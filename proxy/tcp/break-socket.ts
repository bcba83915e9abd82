import type { Socket } from 'node:net';

/**
 * Closes without an orderly end, by a reset, so that nobody takes a torn stream for a whole one. A Unix socket knows no
 * reset, and Node throws where one is to be reset; it has no port, nor has what was never connected.
 */
export function breakSocket(socket: Socket): void {
  if ('encrypted' in socket) {
    resetBelowTls(socket);
    socket.destroy();
    return;
  }
  // Node cannot reset while its own orderly end is under way, and would leave the descriptor open (libuv: EINVAL).
  const ending = socket.writableEnded && !socket.writableFinished;
  if (socket.localPort === undefined || ending) socket.destroy();
  else socket.resetAndDestroy();
}

/**
 * Has the TCP connection below TLS closed by a reset when it is closed next.
 *
 * Without it Node closes it by an end, which tells a peer on Node the same as an orderly one: its TLS does not tell whether a
 * close_notify came before. `resetAndDestroy` refuses sockets of TLS, and Node has no other way, so this is the one place
 * that reaches for its handles: `_handle` of a TLS socket is the wrap of TLS, whose `_parent` is that of TCP, and closing goes
 * through that one's `close` (lib/internal/tls/wrap.js, `TLSWrap.prototype.close`). `reset` takes the same callback, and
 * answers other than 0 where libuv cannot reset, as in the midst of an orderly end. Where any of this is different one day,
 * the connection is closed by an end, as without it.
 */
function resetBelowTls(socket: Socket): void {
  const tcp = member(member(socket, '_handle'), '_parent');
  const [close, reset] = [member(tcp, 'close'), member(tcp, 'reset')];
  if (typeof tcp !== 'object' || tcp === null || typeof close !== 'function' || typeof reset !== 'function') return;
  Reflect.set(tcp, 'close', (closed?: () => void) => {
    Reflect.set(tcp, 'close', close);
    if (Reflect.apply(reset, tcp, [closed]) !== 0) Reflect.apply(close, tcp, [closed]);
  });
}

function member(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined;
}
