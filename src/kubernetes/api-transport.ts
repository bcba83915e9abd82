import { Agent } from 'node:https';
import type { Clock } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { exchange, type HttpAnswer } from '../token/http-exchange.ts';
import { resourceName, resourcePath } from './api-resource.ts';
import type { ApiAccess, ApiCredentials } from './api-server.ts';
import { errorOfAnswer, type AskedOperation } from './api-errors.ts';

/** One request to the API server. */
export interface ApiRequest extends Omit<AskedOperation, 'server'> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly contentType?: string;
  readonly timeout: number;
  readonly sizeLimit: number;
}

/** Sends requests with the credential of the moment, over connections that are kept. */
export class ApiTransport {
  readonly #access: ApiAccess;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #agent: Agent;

  constructor(options: {
    readonly access: ApiAccess;
    readonly clock: Pick<Clock, 'after'>;
    readonly concurrency: number;
  }) {
    this.#access = options.access;
    this.#clock = options.clock;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.concurrency });
  }

  /** Without a slash at its end. */
  get server(): string {
    return this.#access.server.href.replace(/\/$/, '');
  }

  urlOf({ resource, at, query = {} }: Pick<ApiRequest, 'resource' | 'at' | 'query'>): URL {
    const url = new URL(`${this.server}${resourcePath(resource, at)}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    return url;
  }

  /**
   * The answer to one request, whatever its status. A 401 is believed only once the credentials were read again: the
   * token may have been replaced since, or run out a moment ago.
   *
   * @throws SealwrightError `kubernetes_unreachable`
   */
  async send(request: ApiRequest): Promise<HttpAnswer> {
    const answer = await this.#attempt(request);
    if (answer.status !== 401) return answer;
    this.#access.renew();
    return this.#attempt(request);
  }

  /** @throws SealwrightError `kubernetes_unreachable` */
  async credentials(request: Pick<ApiRequest, 'verb' | 'resource' | 'at'>): Promise<ApiCredentials> {
    try {
      return await this.#access.credentials();
    } catch (error) {
      throw this.unreachable(request, `no credential of our own: ${reasonOf(error)}`);
    }
  }

  /** Reads credentials anew at the next request. */
  renew(): void {
    this.#access.renew();
  }

  errorOf(
    answer: Pick<HttpAnswer, 'status' | 'headers' | 'body'>,
    request: Pick<ApiRequest, 'verb' | 'resource' | 'at'>,
  ): SealwrightError {
    const { verb, resource, at } = request;
    return errorOfAnswer(answer, { server: this.server, verb, resource, at });
  }

  unreachable({ verb, resource, at }: Pick<ApiRequest, 'verb' | 'resource' | 'at'>, reason: string): SealwrightError {
    const { server } = this;
    return new SealwrightError('kubernetes_unreachable', {
      server,
      verb,
      resource: resourceName(resource, at.subresource),
      reason,
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #attempt(request: ApiRequest): Promise<HttpAnswer> {
    const { headers, tls, agent = this.#agent } = await this.credentials(request);
    const { method, body, contentType = 'application/json', timeout, sizeLimit } = request;
    const url = this.urlOf(request);
    const text = body === undefined ? undefined : JSON.stringify(body);
    // Node sends no length by itself with a DELETE.
    const content =
      text === undefined ? {} : { 'content-type': contentType, 'content-length': String(Buffer.byteLength(text)) };
    try {
      return await exchange({
        url,
        method,
        headers: { accept: 'application/json', ...content, ...headers },
        ...(text === undefined ? {} : { body: text }),
        tls,
        agent,
        timeout,
        sizeLimit,
        clock: this.#clock,
      });
    } catch (error) {
      // No cause: a foreign error may hold the request, and with it the credential.
      throw this.unreachable(request, reasonOf(error));
    }
  }
}
