import { request as requestTls, type Agent } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { errorOfStatus } from './api-errors.ts';
import { resourceName, type ApiResource } from './api-resource.ts';
import type { ApiTransport } from './api-transport.ts';
import { LineSplitter } from './line-splitter.ts';
import { readWatchLine, type WatchEnd, type WatchEvent } from './watch-event.ts';

export interface WatchQuery {
  /** All namespaces where none is given. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  /** Begins with all objects that there are, and a bookmark after the last (Kubernetes' WatchList). */
  readonly sendInitialEvents?: boolean;
  /** After how many seconds the server ends it. */
  readonly timeoutSeconds: number;
  /** Milliseconds without a byte after which it is given up. */
  readonly silence: number;
}

export interface WatchHandlers {
  /** The server took it. It may still refuse it, as an event. */
  readonly onOpen?: () => void;
  /** Never after `onEnd`. Must not throw. */
  readonly onEvent: (event: WatchEvent) => void;
  /** Called once, within `close` where that ends it, otherwise never before `watch` returned. */
  readonly onEnd: (end: WatchEnd) => void;
}

export interface Watch {
  close(): void;
}

export interface WatchSurroundings {
  readonly transport: ApiTransport;
  readonly agent: Agent;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  /** Bytes of the longest event. */
  readonly lineLimit: number;
}

/** Bytes of a refusal that are read. */
const LARGEST_REFUSAL = 64 * 1024;

/** A peer that is gone is asked after so many milliseconds of silence; the system gives it up ten seconds later. */
const KEEP_ALIVE = 15_000;

/** Opens a watch: one request whose answer goes on for minutes, one event a line. */
export function openWatch(
  resource: ApiResource,
  query: WatchQuery,
  handlers: WatchHandlers,
  around: WatchSurroundings,
): Watch {
  const watch = new OpenWatch(resource, query, handlers, around);
  void watch.start();
  return watch;
}

class OpenWatch implements Watch {
  readonly #resource: ApiResource;
  readonly #query: WatchQuery;
  readonly #handlers: WatchHandlers;
  readonly #around: WatchSurroundings;
  #request: ClientRequest | undefined;
  #timer: Timer | undefined;
  #heard: number;
  #over = false;

  constructor(resource: ApiResource, query: WatchQuery, handlers: WatchHandlers, around: WatchSurroundings) {
    this.#resource = resource;
    this.#query = query;
    this.#handlers = handlers;
    this.#around = around;
    this.#heard = around.clock.elapsed();
    this.#expectWithin(query.silence);
  }

  close(): void {
    this.#end('closed', undefined);
  }

  /** Never rejects. */
  async start(): Promise<void> {
    const { transport, agent: watches } = this.#around;
    try {
      const { headers, tls, agent = watches } = await transport.credentials(this.#asked);
      if (this.#over) return;
      const request = requestTls(transport.urlOf({ ...this.#asked, query: this.#parameters }), {
        method: 'GET',
        headers: { accept: 'application/json', ...headers },
        agent,
        ...tls,
      });
      this.#request = request;
      request.on('error', (error) => this.#end('cut', this.#unreachable(reasonOf(error))));
      request.on('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE));
      request.on('response', (response) => this.#read(response));
      request.end();
    } catch (error) {
      this.#end('cut', error instanceof SealwrightError ? error : this.#unreachable(reasonOf(error)));
    }
  }

  get #asked(): { readonly verb: 'watch'; readonly resource: ApiResource; readonly at: { namespace?: string } } {
    const { namespace } = this.#query;
    return { verb: 'watch', resource: this.#resource, at: namespace === undefined ? {} : { namespace } };
  }

  get #parameters(): Record<string, string | number | boolean | undefined> {
    const { labelSelector, fieldSelector, resourceVersion, sendInitialEvents, timeoutSeconds } = this.#query;
    return {
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds,
      labelSelector,
      fieldSelector,
      resourceVersion,
      ...(sendInitialEvents ? { sendInitialEvents, resourceVersionMatch: 'NotOlderThan' } : {}),
    };
  }

  #read(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      this.#readRefusal(response, status);
      return;
    }
    this.#heard = this.#around.clock.elapsed();
    this.#handlers.onOpen?.();
    const lines = new LineSplitter(this.#around.lineLimit);
    response.on('data', (piece: Buffer) => {
      this.#heard = this.#around.clock.elapsed();
      const complete = lines.push(piece);
      if (complete === false) this.#end('garbage', this.#unreachable('an event is longer than is read'));
      else for (const line of complete) this.#take(line);
    });
    response.on('error', (error) => this.#end('cut', this.#unreachable(reasonOf(error))));
    response.on('end', () => {
      if (lines.isInLine) this.#end('garbage', this.#unreachable('it ended in the middle of an event'));
      else this.#end('ended', undefined);
    });
    response.on('close', () => this.#end('cut', this.#unreachable('the watch was cut off')));
  }

  #take(line: Buffer): void {
    if (this.#over) return;
    const event = readWatchLine(line, this.#resource);
    if (event === undefined) return this.#end('garbage', this.#unreachable('it sent an event that cannot be read'));
    if (event.type !== 'ERROR') return this.#handlers.onEvent(event);
    const { server } = this.#around.transport;
    this.#refused(event.code, errorOfStatus(event.status, event.code, { server, ...this.#asked }));
  }

  #readRefusal(response: IncomingMessage, status: number): void {
    if (status === 401) this.#around.transport.renew();
    const pieces: Buffer[] = [];
    let size = 0;
    const refuse = (): void => {
      const { headers } = response;
      const error = this.#around.transport.errorOf({ status, headers, body: Buffer.concat(pieces) }, this.#asked);
      this.#refused(status, error);
    };
    response.on('data', (piece: Buffer) => {
      size += piece.length;
      if (size <= LARGEST_REFUSAL) pieces.push(piece);
      else refuse();
    });
    response.on('error', refuse);
    response.on('close', refuse);
  }

  #refused(status: number, error: SealwrightError): void {
    this.#end(status === 410 ? 'gone' : 'refused', error);
  }

  #unreachable(reason: string): SealwrightError {
    const { server } = this.#around.transport;
    return new SealwrightError('kubernetes_unreachable', {
      server,
      verb: 'watch',
      resource: resourceName(this.#resource),
      reason,
    });
  }

  /** One timer for the whole watch: it looks at when something was last heard, instead of being set anew each time. */
  #expectWithin(milliseconds: number): void {
    const { clock } = this.#around;
    this.#timer = clock.after(milliseconds, () => {
      const left = this.#heard + this.#query.silence - clock.elapsed();
      if (left > 0) this.#expectWithin(left);
      else this.#end('silent', this.#unreachable(`nothing was heard for ${this.#query.silence} ms`));
    });
  }

  #end(reason: WatchEnd['reason'], error: SealwrightError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#request?.destroy();
    this.#handlers.onEnd({ reason, error });
  }
}
