import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { SealwrightError, reasonOf } from '../core/errors.ts';

/** A CA that does not answer within this many milliseconds is taken for hung. */
const TIMEOUT = 30_000;

/** The command line's end of the operator API. */
export class OperatorClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
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
    const broken = (reason: string): SealwrightError =>
      new SealwrightError('operator_unreachable', { socket: this.#socket, reason });
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

  /** @throws SealwrightError `operator_unreachable`, or `operator_refused` with what the CA said */
  async #call(method: string, path: string, body?: string): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request({
        socketPath: this.#socket,
        method,
        path,
        timeout: TIMEOUT,
        headers: { host: 'operator', 'content-type': 'application/json' },
      });
      const fail = (reason: string, cause?: unknown): void =>
        reject(new SealwrightError('operator_unreachable', { socket: this.#socket, reason }, { cause }));
      call.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message, error));
      call.once('timeout', () => {
        fail(`no answer within ${TIMEOUT / 1000} s`);
        call.destroy();
      });
      call.once('response', resolve);
      call.end(body);
    });
    if (response.statusCode === 200) return response;
    throw refusal(await textOf(response), response.statusCode ?? 0);
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
