// What the load generators ask, and over what.
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, createSecureContext } from 'node:tls';

export interface Origin {
  readonly host?: string;
  readonly port: number;
  readonly connections: number;
  /** Plaintext where it is left out. */
  readonly identity?: { readonly keyPem: string; readonly chainPem: string; readonly rootsPem: string };
  /** What is offered; HTTP/1.1 as Istio's sidecars offer it unless said otherwise. */
  readonly alpn?: readonly string[];
}

/** One GET request with the fields of a browser's or a client library's, to a host. */
export function requestTo(host: string): Buffer {
  return Buffer.from(
    [
      'GET /api/v1/products/42?currency=EUR HTTP/1.1',
      `Host: ${host}`,
      'User-Agent: load/1.0 (sealwright bench)',
      'Accept: application/json, text/plain, */*',
      'Accept-Encoding: gzip, deflate, br',
      'X-Request-Id: 7a3c5f0e-8c1d-4c43-9f1e-5d2b8a6c1f10',
      'Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
      '',
      '',
    ].join('\r\n'),
    'latin1',
  );
}

export function openAll({ host = '127.0.0.1', port, connections, identity, alpn }: Origin): Promise<Socket[]> {
  const secureContext =
    identity === undefined
      ? undefined
      : createSecureContext({ key: identity.keyPem, cert: identity.chainPem, ca: identity.rootsPem });
  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket =
        secureContext === undefined
          ? connectPlain({ port, host }, () => resolve(socket))
          : connect(
              {
                port,
                host,
                secureContext,
                ALPNProtocols: [...(alpn ?? ['istio-http/1.1', 'istio', 'http/1.1'])],
                checkServerIdentity: () => undefined,
              },
              () => resolve(socket),
            );
      socket.setNoDelay(true);
      socket.once('error', reject);
    });
  return Promise.all(Array.from({ length: connections }, open));
}

/**
 * Calls back for each whole answer on a connection on which nothing is pipelined. Every answer is as long as the first
 * one was: found out once, so that counting costs nothing later.
 */
export function onAnswers(socket: Socket, answered: () => void, failed: (error: Error) => void): void {
  let received = 0;
  let expected: number | undefined;
  socket.on('data', (chunk: Buffer) => {
    if (expected === undefined) {
      const text = chunk.toString('latin1');
      if (!text.startsWith('HTTP/1.1 200')) failed(new Error(`answered ${text.slice(0, 200)}`));
      expected = answerLength(text);
    }
    received += chunk.length;
    // Lengths vary by a digit or two where a proxy adds its own timing; a whole answer ends with its body.
    if (expected === undefined || received < expected - 4 || chunk[chunk.length - 1] !== 0x78) return;
    received = 0;
    answered();
  });
  socket.on('close', () => failed(new Error('the proxy closed a connection')));
}

function answerLength(text: string): number | undefined {
  const end = text.indexOf('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return end < 0 || length === undefined ? undefined : end + 4 + Number(length);
}
