import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** What came of a load. */
export interface Tally {
  sent: number;
  /** Connections that were to be kept and ended. */
  dropped: number;
  readonly failed: Failed[];
}

export interface Failed {
  /** When it was begun and when it had failed, as `performance.now()`. */
  readonly from: number;
  readonly to: number;
  /** Wall time at the end. */
  readonly time: string;
  readonly what: string;
}

/** Where requests go. */
export interface HttpTarget {
  /** The sidecar of the caller. */
  readonly address: string;
  readonly host: string;
  readonly path: string;
  /** What is to be answered. */
  readonly answer: string;
  /** What is sent along. */
  readonly body?: string;
}

/** Milliseconds between two fresh connections of one loop: more of them would use up the machine's ports in a minute. */
const PACE = 8;

export const newTally = (): Tally => ({ sent: 0, dropped: 0, failed: [] });

/** One after another until the time is over, each on a connection of its own. */
export async function again(
  tally: Tally,
  more: () => boolean,
  once: () => Promise<void>,
  between: number = PACE,
): Promise<void> {
  while (more()) {
    tally.sent += 1;
    await once().catch(failedIn(tally));
    await pause(between);
  }
}

/** Requests on one connection for the whole time; that the connection ends is a drop. */
export async function keepCalling(
  target: HttpTarget,
  tally: Tally,
  more: () => boolean,
  between: number = 0,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<Socket>();
  while (more()) {
    tally.sent += 1;
    await call(target, agent, (socket) => sockets.add(socket)).catch(failedIn(tally));
    if (between > 0) await pause(between);
  }
  tally.dropped += sockets.size - 1;
  agent.destroy();
}

/** One request on a connection of its own. */
export function callOnce(target: HttpTarget): Promise<void> {
  return call(target, false, () => {});
}

function call(target: HttpTarget, agent: Agent | false, onSocket: (socket: Socket) => void): Promise<void> {
  const { address, host, path, answer: expected, body } = target;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const method = body === undefined ? 'GET' : 'POST';
  const sent = request({ host: address, port: 15_001, method, path, agent, headers: { host } }, (answer) => {
    let text = '';
    answer.on('data', (data: Buffer) => (text += data.toString()));
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode === 200 && text === expected) resolve();
      else reject(new Error(`answered ${answer.statusCode}: ${text.slice(0, 200)}`));
    });
  });
  sent.on('socket', onSocket);
  sent.on('error', reject);
  sent.end(body);
  return promise;
}

/** Messages on one opaque connection for the whole time. */
export async function keepEchoing(
  address: string,
  tally: Tally,
  more: () => boolean,
  between: number = 0,
): Promise<void> {
  const socket = connect(9100, address);
  socket.on('error', () => {});
  while (more() && !socket.closed) {
    tally.sent += 1;
    await echo(socket).catch(failedIn(tally));
    if (between > 0) await pause(between);
  }
  if (socket.closed) tally.dropped += 1;
  socket.destroy();
}

/** One message on an opaque connection of its own. */
export async function echoOnce(address: string): Promise<void> {
  const socket = connect(9100, address);
  socket.on('error', () => {});
  try {
    await echo(socket);
  } finally {
    socket.destroy();
  }
}

/** Sends a line and waits until it has come back whole. */
function echo(socket: Socket): Promise<void> {
  const line = `${'x'.repeat(500)}\n`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let text = '';
  const onData = (data: Buffer): void => {
    text += data.toString('latin1');
    if (text.length < line.length) return;
    if (text === line) resolve();
    else reject(new Error('other bytes came back'));
  };
  const onClose = (): void => reject(new Error('the connection ended'));
  socket.on('data', onData);
  socket.on('close', onClose);
  socket.write(line);
  return promise.finally(() => {
    socket.off('data', onData);
    socket.off('close', onClose);
  });
}

/** For what begins now. */
function failedIn(tally: Tally): (error: unknown) => void {
  const from = performance.now();
  return (error) => {
    tally.failed.push({ from, to: performance.now(), time: new Date().toISOString(), what: String(error) });
  };
}
