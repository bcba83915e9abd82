import { createServer as createHttpServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { makeCall, type Call } from './call.ts';
import { endWithParent } from './end-with-parent.ts';

/**
 * One application of the demo. It knows nothing of identities, certificates or policies: it listens on 127.0.0.1, and
 * calls others by their names through its sidecar.
 */
export interface ApplicationConfig {
  readonly name: string;
  readonly protocol: 'http' | 'tcp';
  /** 0 for a free one. */
  readonly port: number;
  /** Asked for a part of the answer to `…/availability`. */
  readonly next: Call | undefined;
}

/** A call that the demo wants this application to make, as nobody else can. */
export interface CallRequest {
  readonly id: number;
  readonly call: Call;
}

// What was handed over is the demo's own: see `ApplicationConfig`.
const config = JSON.parse(process.argv[2] ?? '') as ApplicationConfig;

const STOCK = 42;

async function answer(path: string): Promise<{ status: number; text: string }> {
  const { name, next } = config;
  const own = `${name}: ${path}`;
  const asksOthers = path === '/' || path.endsWith('/availability');
  if (!asksOthers || next === undefined) return { status: 200, text: own };
  const { status, text } = await makeCall(next);
  if (status === 200 || status === 0) return { status: 200, text: `${own} <- ${text}` };
  return { status: 502, text: `${own} <- ${status ?? 'closed'} ${text}` };
}

const server: Server =
  config.protocol === 'http'
    ? createHttpServer((incoming, response) => {
        incoming.resume();
        void answer(incoming.url ?? '/').then(({ status, text }) =>
          response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`),
        );
      })
    : createTcpServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', (chunk) => {
          for (const thing of chunk.toString().split('\n').slice(0, -1)) socket.write(`stock: ${STOCK} ${thing}\n`);
        });
      });

process.on('message', ({ id, call }: CallRequest) => {
  void makeCall(call).then((outcome) => process.send?.({ id, outcome }));
});
process.once('SIGTERM', () => process.exit(0));
endWithParent();
server.once('error', (error) => process.send?.({ failed: error.message }));
server.listen(config.port, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
