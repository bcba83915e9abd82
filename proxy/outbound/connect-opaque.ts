import type { OnReadOpts, Socket } from 'node:net';
import type { Clock } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import { CONNECT_TIMEOUT, failureWords } from '../tcp/failure-words.ts';
import type { UpstreamFailure } from '../upstream/pool.ts';
import type { Endpoint } from './endpoint.ts';

export interface OpaqueAttempt {
  /** Gives it up: nobody is told. */
  cancel(): void;
}

/** Opens a connection for opaque bytes. One of the two is called, once; before that no byte of a client is sent. */
export function connectOpaque(
  { tcp: transport, host }: Pick<Endpoint, 'tcp' | 'host'>,
  {
    clock,
    onread,
    onReady,
    onFailed,
  }: {
    readonly clock: Clock;
    readonly onread?: OnReadOpts;
    readonly onReady: (socket: Socket) => void;
    readonly onFailed: (reason: string, failure: UpstreamFailure) => void;
  },
): OpaqueAttempt {
  const { pool } = host;
  const { circuit, limits } = pool;
  if (circuit.full || circuit.connections >= circuit.limits.maxConnections) {
    circuit.counts.upstream_cx_overflow += 1;
    return never(() => onFailed(`${circuit.connections} connections are open`, 'UO'));
  }
  let socket: Socket;
  try {
    socket = transport.connect(onread);
  } catch (error) {
    return never(() => onFailed(reasonOf(error), 'UF'));
  }
  circuit.counts.upstream_cx_total += 1;
  circuit.connections += 1;
  circuit.opaque += 1;
  host.opaque += 1;
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
    circuit.counts.upstream_cx_connect_fail += 1;
    if (reason === CONNECT_TIMEOUT) circuit.counts.upstream_cx_connect_timeout += 1;
    pool.health?.onConnectFailure();
    onFailed(reason, 'UF');
  };
  let problem = '';
  const onClose = (): void => fail(problem || 'closed before it was open');
  const timer = clock.after(limits.connectTimeout, () => fail(CONNECT_TIMEOUT));
  // It stays: a socket without one would take the process down with its next error.
  socket.on('error', (error) => {
    problem ||= failureWords(error);
    // Node tells of an alert behind the handshake and goes on.
    socket.destroy();
  });
  socket.once('close', () => {
    circuit.connections -= 1;
    circuit.opaque -= 1;
    host.opaque -= 1;
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
    if (limits.keepAliveTime > 0) socket.setKeepAlive(true, limits.keepAliveTime);
    pool.health?.onConnected();
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

/** An attempt that is not made. */
function never(tell: () => void): OpaqueAttempt {
  let cancelled = false;
  queueMicrotask(() => {
    if (!cancelled) tell();
  });
  return {
    cancel: () => {
      cancelled = true;
    },
  };
}
