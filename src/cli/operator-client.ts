import { request as requestPlain, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';
import { createInterface } from 'node:readline';
import { SealwrightError, reasonOf } from '../core/errors.ts';

/** A CA that does not answer within this many milliseconds is taken for hung. */
const TIMEOUT = 30_000;

/** How Node says that a certificate chains to none of the roots it was given. */
const UNVERIFIED: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
]);

/** The operator API over TLS. Holds secrets: never print it. */
export interface OperatorAddress {
  readonly host: string;
  readonly port: number;
  /** PEM: what the CA's certificate must chain to. */
  readonly roots: string;
  /** What the CA's certificate must name; the host if not given. */
  readonly serverName?: string | undefined;
  readonly token?: string | undefined;
  /** PEM, leaf first, and its key. */
  readonly identity?: { readonly certificateChain: string; readonly privateKey: string } | undefined;
}

/** The command line's end of the operator API. */
export class OperatorClient {
  readonly #place: string | OperatorAddress;

  /** @param place the path of the CA's own socket, or where it listens over TLS */
  constructor(place: string | OperatorAddress) {
    this.#place = place;
  }

  async get(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): Promise<unknown> {
    return JSON.parse(await textOf(await this.#call('GET', withQuery(path, query))));
  }

  async post(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    return JSON.parse(await textOf(await this.#call('POST', path, JSON.stringify(body))));
  }

  /** The lines of an answer that may be larger than memory. An answer that breaks off is an error, never a short list. */
  async *lines(
    path: string,
    query: Readonly<Record<string, string | number | undefined>> = {},
  ): AsyncGenerator<string> {
    const response = await this.#call('GET', withQuery(path, query));
    const broken = (reason: string): SealwrightError => this.#unreachable(reason);
    // One line is held back: the last one says how the answer ended.
    let held: string | undefined;
    try {
      for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
        if (held !== undefined) yield held;
        held = line;
      }
    } catch (error) {
      throw broken(`the answer broke off: ${reasonOf(error)}`);
    }
    if (held === '{"end":true}') return;
    throw held?.startsWith('{"error":') === true ? refusal(held, 200) : broken('the answer broke off');
  }

  /** @throws SealwrightError `operator_unreachable`, `operator_unverified`, or `operator_refused` with what the CA said */
  async #call(method: string, path: string, body?: string): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = this.#request({ method, path, timeout: TIMEOUT });
      const fail = (reason: string, cause?: unknown): void => reject(this.#unreachable(reason, cause));
      call.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message, error));
      call.once('timeout', () => {
        fail(`no answer within ${TIMEOUT / 1000} s`);
        call.destroy();
      });
      call.once('response', resolve);
      call.end(body);
    });
    if (response.statusCode === 200) return response;
    const refused = refusal(await textOf(response), response.statusCode ?? 0);
    // Whoever must judge the token is away: nothing was refused, and the same call may work later.
    if (response.statusCode !== 503) throw refused;
    throw new SealwrightError('operator_unreachable', { ...this.#where, ...refused.fields });
  }

  #request(asked: { readonly method: string; readonly path: string; readonly timeout: number }): ClientRequest {
    const place = this.#place;
    const headers = { 'content-type': 'application/json' };
    if (typeof place === 'string') {
      return requestPlain({ ...asked, socketPath: place, headers: { ...headers, host: 'operator' } });
    }
    const { host, port, roots, serverName, token, identity } = place;
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return requestTls({
      ...asked,
      host,
      port,
      // A connection for each call: a command makes one or two.
      agent: false,
      ca: roots,
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(identity === undefined ? {} : { cert: identity.certificateChain, key: identity.privateKey }),
      headers: { ...headers, ...authorization },
    });
  }

  #unreachable(reason: string, cause?: unknown): SealwrightError {
    const about = { ...this.#where, reason };
    if (UNVERIFIED.has(reason)) return new SealwrightError('operator_unverified', about, { cause });
    return new SealwrightError('operator_unreachable', about, { cause });
  }

  get #where(): Readonly<Record<string, string>> {
    const place = this.#place;
    return typeof place === 'string' ? { socket: place } : { address: `${place.host}:${place.port}` };
  }
}

function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function refusal(body: string, status: number): SealwrightError {
  let message = `status ${status}`;
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed) {
      const { error } = parsed;
      if (typeof error === 'object' && error !== null && 'message' in error) message = String(error.message);
    }
  } catch {
    // Not JSON: the status alone is what is known.
  }
  return new SealwrightError('operator_refused', { said: message });
}
