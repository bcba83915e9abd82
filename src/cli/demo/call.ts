import { request } from 'node:http';
import { connect, type Socket } from 'node:net';

/** A call as an application makes it. */
export type Call = HttpCall | StockCall;

export interface HttpCall {
  readonly kind: 'http';
  /** Where to connect to: the own sidecar, as a rule. */
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly method: string;
  readonly path: string;
}

/** A question to the stock, in its own protocol: the name of a thing, answered by how many there are. */
export interface StockCall {
  readonly kind: 'stock';
  readonly address: string;
  readonly port: number;
}

/** What came of a call, as its caller saw it. Only a call that was answered at all has a status or a text. */
export interface CallOutcome {
  /** HTTP status; 0 for a stock that answered, undefined where the connection was closed instead. */
  readonly status: number | undefined;
  readonly text: string;
  /** The caller's end of the connection, as `address:port`. */
  readonly local: string;
}

/** Milliseconds for an answer. */
const PATIENCE = 5_000;

export type Connect = (call: Call) => Socket;

const inPlaintext: Connect = ({ address, port }) => connect(port, address);

/** Makes a call over a connection of its own, and never throws: a connection that closes is what came of it. */
export function makeCall(call: Call, open: Connect = inPlaintext): Promise<CallOutcome> {
  const socket = open(call);
  let local = '';
  socket.once('connect', () => (local = `${socket.localAddress}:${socket.localPort}`));
  socket.setTimeout(PATIENCE, () => socket.destroy());
  const answered = call.kind === 'http' ? callHttp(call, socket) : askStock(socket);
  return answered.then(
    ({ status, text }) => ({ status, text, local }),
    (error: unknown) => ({ status: undefined, text: error instanceof Error ? error.message : String(error), local }),
  );
}

type Answer = Pick<CallOutcome, 'status' | 'text'>;

function callHttp({ host, method, path }: HttpCall, socket: Socket): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      { createConnection: () => socket, method, path, headers: { host, connection: 'close' } },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode, text: text.trim() }));
      },
    );
    call.once('error', reject);
    call.end();
  });
}

function askStock(socket: Socket): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (!text.includes('\n')) return;
      socket.end();
      resolve({ status: 0, text: text.trim() });
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
    socket.write('apples\n');
  });
}
