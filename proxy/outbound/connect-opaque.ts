import type { OnReadOpts, Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import { failureWords } from '../tcp/failure-words.ts';
import type { UpstreamTransport } from '../upstream/upstream-connection.ts';

/** Istio's default connect timeout, TCP and TLS together. */
const CONNECT_TIMEOUT = 10_000;

export interface OpaqueAttempt {
  /** Gives it up: nobody is told. */
  cancel(): void;
}

/** Opens a connection for opaque bytes. One of the two is called, once; before that no byte of a client is sent. */
export function connectOpaque(
  transport: UpstreamTransport,
  {
    clock,
    onread,
    onReady,
    onFailed,
  }: {
    readonly clock: Clock;
    readonly onread?: OnReadOpts;
    readonly onReady: (socket: Socket) => void;
    readonly onFailed: (reason: string) => void;
  },
): OpaqueAttempt {
  let socket: Socket;
  try {
    socket = transport.connect(onread);
  } catch (error) {
    queueMicrotask(() => onFailed(reasonOf(error)));
    return { cancel: () => {} };
  }
  let over = false;
  const end = (): void => {
    over = true;
    timer.cancel();
    socket.off('close', onClose);
  };
  const fail = (reason: string): void => {
    if (over) return;
    end();
    socket.destroy();
    onFailed(reason);
  };
  let problem = '';
  const onClose = (): void => fail(problem || 'closed before it was open');
  const timer = clock.after(CONNECT_TIMEOUT, () => fail('connect timeout'));
  // It stays: a socket without one would take the process down with its next error.
  socket.on('error', (error) => {
    problem ||= failureWords(error);
    // Node tells of an alert behind the handshake and goes on.
    socket.destroy();
  });
  socket.once('close', onClose);
  socket.once(transport.readyEvent, () => {
    if (over) return;
    const refusal = transport.check?.(socket);
    if (refusal !== undefined) {
      fail(refusal);
      return;
    }
    end();
    onReady(socket);
  });
  return {
    cancel: () => {
      if (over) return;
      end();
      socket.destroy();
    },
  };
}
