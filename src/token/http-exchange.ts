import { request as requestPlain } from 'node:http';
import { request as requestTls, type Agent, type RequestOptions } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { AddressGuard } from './address-guard.ts';

export interface HttpExchange {
  readonly url: URL;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Who must have signed the server's certificate, and what we present ourselves; the system's roots by default. */
  readonly tls?: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername'>;
  /** Keeps connections for reuse; without one, each exchange has its own. */
  readonly agent?: Agent | undefined;
  /** For everything from the name look-up to the last byte of the answer, in milliseconds. */
  readonly timeout: number;
  /** The most bytes of an answer. */
  readonly sizeLimit: number;
  readonly clock: Pick<Clock, 'after'>;
  /** Judges where the connection may go; without one it may go anywhere. */
  readonly guard?: AddressGuard | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/**
 * One bounded HTTP exchange: a deadline for the whole, a size limit, no redirect followed. node:https and not
 * `fetch`, as `fetch` has no way to name a CA certificate.
 *
 * Rejects with an Error whose message tells what happened and quotes neither request nor answer.
 */
export async function exchange(asked: HttpExchange): Promise<HttpAnswer> {
  try {
    return await attempt(asked);
  } catch (error) {
    // A kept connection may be closed by the server just as we send. Nothing was answered, so the exchange is made
    // once more, on a connection of its own.
    if (!(error instanceof StaleConnection)) throw error;
    return attempt({ ...asked, agent: undefined });
  }
}

class StaleConnection extends Error {}

function attempt(asked: HttpExchange): Promise<HttpAnswer> {
  const { url, method, headers, body, tls, agent, timeout, sizeLimit, clock, guard } = asked;
  return new Promise((resolve, reject) => {
    const refusal = guard === undefined ? undefined : literalRefusal(url, guard);
    if (refusal !== undefined) {
      reject(new Error(refusal));
      return;
    }
    const lookup = guard === undefined ? {} : { lookup: guard.lookup(url.protocol === 'http:') };
    const options: RequestOptions = { method, agent: agent ?? false, headers: { ...headers }, ...lookup };
    const request: ClientRequest =
      url.protocol === 'https:'
        ? requestTls(url, { ...options, ...tls })
        : requestPlain(url, { ...options, agent: false });
    const deadline = clock.after(timeout, () => request.destroy(new Error(`no whole answer within ${timeout} ms`)));
    const fail = (error: Error): void => {
      deadline.cancel();
      request.destroy();
      reject(error);
    };
    let answered = false;
    request.on('error', (error: NodeJS.ErrnoException) => {
      const stale = request.reusedSocket && !answered && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      fail(stale ? new StaleConnection(error.message) : error);
    });
    request.on('response', (response) => {
      answered = true;
      const pieces: Buffer[] = [];
      let size = 0;
      response.on('data', (piece: Buffer) => {
        size += piece.length;
        if (size > sizeLimit) fail(new Error(`the answer is larger than ${sizeLimit} bytes`));
        else pieces.push(piece);
      });
      response.on('error', fail);
      response.on('close', () => {
        if (!response.complete) fail(new Error('the answer was cut off'));
      });
      response.on('end', () => {
        if (!response.complete) return;
        deadline.cancel();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) });
      });
    });
    request.end(body);
  });
}

/** A socket that is given an address looks nothing up, so that address is judged here. */
function literalRefusal({ hostname, protocol }: URL, guard: AddressGuard): string | undefined {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(address) === 0 ? undefined : guard.refusal(address, protocol === 'http:');
}
