import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { apiVersionOf, type ApiResource } from '../../src/kubernetes/api-resource.ts';
import { createTestAuthority } from '../wire/certificates.ts';
import { FakeObjects, keyOf, listPath, type Json, type StoredEvent, type StoredObject } from './kubernetes-objects.ts';

/** One request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly body: Json;
  readonly watch: boolean;
}

/** How a request is failed instead of being answered. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** A whole answer of status 200 that is something else. */
  | { readonly body: string }
  | { readonly cut: 'before' | 'in-body' }
  | { readonly hang: 'before' | 'in-body' };

interface OpenWatch {
  readonly path: string;
  readonly response: ServerResponse;
  readonly matches: (object: StoredObject) => boolean;
  readonly bookmarks: boolean;
  /** What has been told to match so far: a change may take an object out of what a selector selects. */
  readonly told: Set<string>;
}

interface Target {
  readonly list: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/**
 * A Kubernetes API server as far as objects, lists in pages and watches go, over TLS with a CA of its own: versions,
 * history, bookmarks, compaction and the refusals as the real one words them; and each way in which one fails.
 */
export class FakeKubernetesServer {
  readonly objects = new FakeObjects();
  readonly requests: SeenRequest[] = [];
  /** Asked of each request first. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  /** Whether a watch can begin with the objects that there are. */
  watchList = true;
  /** Answers creations and updates that are more than kept objects: reviews, tokens. Undefined leaves it to the store. */
  respond: (request: SeenRequest) => { readonly status: number; readonly body: Json } | undefined = () => undefined;
  /** What callers must present. */
  token = 'the-credential-of-the-ca';
  /** How many TLS connections there have been. */
  connections = 0;
  readonly caPem: string;
  readonly #tls: { readonly cert: string; readonly key: string };
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<OpenWatch>();
  #server: Server;
  #port = 0;

  private constructor(tls: { readonly cert: string; readonly key: string }, caPem: string) {
    this.#tls = tls;
    this.caPem = caPem;
    this.#server = this.#makeServer();
    this.objects.subscribe((path, event) => {
      for (const watch of this.#watches) if (watch.path === path) this.#tell(watch, event);
    });
  }

  static async start(...kinds: readonly ApiResource[]): Promise<FakeKubernetesServer> {
    const ca = await createTestAuthority({ name: 'O=fake-kubernetes' });
    const own = await ca.issue({ dns: ['localhost'], ip: ['127.0.0.1'] });
    const server = new FakeKubernetesServer({ cert: own.chain, key: own.key }, ca.root);
    for (const kind of kinds) server.objects.define(kind);
    await server.listen();
    return server;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** Writes the CA and a credential that the server accepts, and answers the configuration that names them. */
  writeAccess(folder: string): { server: string; caFile: string; tokenFile: string } {
    const [caFile, tokenFile] = [join(folder, 'ca.crt'), join(folder, 'token')];
    writeFileSync(caFile, this.caPem);
    writeFileSync(tokenFile, `${this.token}\n`, { mode: 0o600 });
    return { server: this.url, caFile, tokenFile };
  }

  put(resource: ApiResource, body: Json): StoredObject {
    return this.objects.put(listPath(resource), body);
  }

  remove(resource: ApiResource, at: { readonly namespace?: string; readonly name: string }): boolean {
    return this.objects.remove(listPath(resource), keyOf(at));
  }

  /** Tells all watches that want it how far they are. */
  bookmark(): void {
    for (const watch of this.#watches) if (watch.bookmarks) this.#send(watch, bookmarkOf(this.objects, watch.path));
  }

  /** Writes a text as it is into every open watch. */
  inject(text: string): void {
    for (const { response } of this.#watches) response.write(text);
  }

  /** Ends every open watch in order, as a server does whose time for it is over. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
    this.#watches.clear();
  }

  /** Watches that are open now hear nothing more, and stay open. */
  silence(): void {
    this.#watches.clear();
  }

  /** Cuts all open connections, as a crash of the server does. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Answers nobody any more, until `listen`. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.dropConnections();
    await closed;
  }

  /** On the same port as before. */
  async listen(): Promise<void> {
    this.#server = this.#makeServer();
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.stop();
  }

  #makeServer(): Server {
    const server = createServer({ ...this.#tls, keepAlive: true });
    server.on('secureConnection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
    return server;
  }

  async #handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of message) pieces.push(piece as Buffer);
    const text = Buffer.concat(pieces).toString();
    const url = new URL(message.url ?? '/', 'https://fake');
    const request: SeenRequest = {
      method: message.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      authorization: message.headers.authorization,
      contentType: message.headers['content-type'],
      body: text === '' ? {} : (JSON.parse(text) as Json),
      watch: url.searchParams.get('watch') === 'true',
    };
    this.requests.push(request);
    const fault = this.fault(request);
    if (fault !== undefined) return this.#fail(fault, message, response);
    if (request.authorization !== `Bearer ${this.token}`) {
      return sendStatus(response, 401, 'Unauthorized', 'Unauthorized');
    }
    const target = this.#targetOf(request.path);
    const answer = this.respond(request);
    if (answer !== undefined) return send(response, answer.status, answer.body);
    if (target === undefined) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n');
      return;
    }
    if (request.watch) return this.#watch(request, target, response);
    if (request.method === 'GET') {
      return target.name === undefined ? this.#list(request, target, response) : this.#get(target, response);
    }
    return this.#write(request, target, response);
  }

  #fail(fault: Fault, message: IncomingMessage, response: ServerResponse): void {
    if ('hang' in fault || 'cut' in fault) {
      const [what, how] = 'hang' in fault ? [fault.hang, 'hang'] : [fault.cut, 'cut'];
      if (what === 'in-body') {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write('{"kind":');
      }
      if (how === 'cut') setImmediate(() => message.socket.destroy());
      return;
    }
    const status = 'status' in fault ? fault.status : 200;
    const headers = 'headers' in fault ? fault.headers : {};
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(fault.body ?? JSON.stringify(statusOf(status, reasonOf(status), reasonOf(status))));
  }

  #targetOf(path: string): Target | undefined {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    const root = parts[0] === 'api' ? parts.splice(0, 2) : parts.splice(0, 3);
    const namespace = parts[0] === 'namespaces' && parts.length > 2 ? parts.splice(0, 2)[1] : undefined;
    const [plural, name, subresource] = parts;
    const list = `/${[...root, plural].join('/')}`;
    return this.objects.resourceAt(list) === undefined ? undefined : { list, namespace, name, subresource };
  }

  #get(target: Target, response: ServerResponse): void {
    const object = this.objects.get(target.list, keyOf({ namespace: target.namespace, name: target.name }));
    if (object === undefined) return this.#notFound(target, response);
    return send(response, 200, object);
  }

  #list({ query }: SeenRequest, target: Target, response: ServerResponse): void {
    const resource = this.objects.resourceAt(target.list) as ApiResource;
    const all = this.objects.list(target.list).filter(matcherOf(query, target));
    const limit = Number(query.get('limit') ?? 0) || all.length;
    const [version, after] = (query.get('continue') ?? '').split(' ');
    // Pages are of one moment: once its history is gone, so is the rest of the list.
    if (version !== '' && this.objects.since(target.list, Number(version)) === undefined) {
      return sendStatus(response, 410, 'Expired', 'The provided continue parameter is too old');
    }
    const rest = after === undefined ? all : all.filter(({ metadata }) => keyOf(metadata) > after);
    const items = rest.slice(0, limit);
    const last = items.at(-1);
    const at = version === '' || version === undefined ? String(this.objects.version) : version;
    const more = rest.length > limit && last !== undefined ? { continue: `${at} ${keyOf(last.metadata)}` } : {};
    return send(response, 200, {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: { resourceVersion: at, ...more },
      // Lists of built-in kinds do not repeat in each item what it is.
      items: items.map(({ apiVersion, kind, ...item }) =>
        resource.group === '' ? item : { apiVersion, kind, ...item },
      ),
    });
  }

  #watch({ query }: SeenRequest, target: Target, response: ServerResponse): void {
    const initial = query.get('sendInitialEvents') === 'true';
    if (initial && !this.watchList) {
      return sendStatus(response, 422, 'Invalid', 'sendInitialEvents: Forbidden: sendInitialEvents is forbidden');
    }
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
    response.flushHeaders();
    const matches = matcherOf(query, target);
    const watch: OpenWatch = {
      path: target.list,
      response,
      matches,
      bookmarks: query.get('allowWatchBookmarks') === 'true',
      told: new Set(),
    };
    if (initial) {
      for (const object of this.objects.list(target.list).filter(matches)) {
        this.#tell(watch, { version: 0, type: 'ADDED', object });
      }
      this.#send(watch, bookmarkOf(this.objects, target.list, { 'k8s.io/initial-events-end': 'true' }));
    } else {
      const missed = this.objects.since(target.list, Number(query.get('resourceVersion') ?? 0));
      if (missed === undefined) {
        const gone = statusOf(410, 'Expired', 'too old resource version');
        response.end(`${JSON.stringify({ type: 'ERROR', object: gone })}\n`);
        return;
      }
      for (const event of missed) this.#tell(watch, event);
    }
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }

  #tell(watch: OpenWatch, { type, object }: StoredEvent): void {
    const key = keyOf(object.metadata);
    if (type === 'DELETED') {
      watch.told.delete(key);
      if (watch.matches(object)) this.#send(watch, { type, object });
      return;
    }
    if (!watch.matches(object)) {
      if (watch.told.delete(key)) this.#send(watch, { type: 'DELETED', object });
      return;
    }
    watch.told.add(key);
    this.#send(watch, { type, object });
  }

  #send({ response }: OpenWatch, event: Json): void {
    response.write(`${JSON.stringify(event)}\n`);
  }

  #write(request: SeenRequest, target: Target, response: ServerResponse): void {
    const { method, body, contentType, query } = request;
    const metadata = (body['metadata'] ?? {}) as Json;
    const name = target.name ?? (metadata['name'] as string | undefined);
    const key = keyOf({ namespace: target.namespace, name });
    const before = name === undefined ? undefined : this.objects.get(target.list, key);
    const named = { ...metadata, name, ...(target.namespace === undefined ? {} : { namespace: target.namespace }) };
    if (method === 'POST') {
      if (before !== undefined) {
        return sendStatus(response, 409, 'AlreadyExists', `${this.#nameOf(target)} "${String(name)}" already exists`);
      }
      return send(response, 201, this.objects.put(target.list, { ...body, metadata: named }));
    }
    const applies = contentType === 'application/apply-patch+yaml';
    if (applies && query.get('fieldManager') === null)
      return sendStatus(response, 422, 'Invalid', 'fieldManager is required');
    if (before === undefined && !applies) return this.#notFound({ ...target, name }, response);
    const wanted = method === 'DELETE' ? ((body['preconditions'] ?? {}) as Json) : metadata;
    for (const field of ['uid', 'resourceVersion'] as const) {
      if (wanted[field] !== undefined && before !== undefined && wanted[field] !== before.metadata[field]) {
        const message = `Operation cannot be fulfilled on ${this.#nameOf(target)} "${String(name)}": the object has been modified`;
        return sendStatus(response, 409, 'Conflict', message);
      }
    }
    if (method === 'DELETE') {
      this.objects.remove(target.list, key);
      return send(response, 200, { kind: 'Status', apiVersion: 'v1', status: 'Success' });
    }
    if (method === 'PUT') return send(response, 200, this.objects.put(target.list, { ...body, metadata: named }));
    const merged = mergePatch(before ?? {}, { ...body, metadata: named }) as Json;
    return send(response, before === undefined ? 201 : 200, this.objects.put(target.list, merged));
  }

  #nameOf(target: Target): string {
    const resource = this.objects.resourceAt(target.list);
    return resource?.group === '' ? resource.plural : `${resource?.plural}.${resource?.group}`;
  }

  #notFound(target: Target, response: ServerResponse): void {
    const details = { name: target.name, kind: this.objects.resourceAt(target.list)?.plural };
    const message = `${this.#nameOf(target)} "${target.name ?? ''}" not found`;
    return send(response, 404, { ...statusOf(404, 'NotFound', message), details });
  }
}

/** RFC 7396. */
function mergePatch(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Json = typeof before === 'object' && before !== null && !Array.isArray(before) ? { ...before } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

/** Selectors of `a=b` and `a!=b`. */
function matcherOf(query: URLSearchParams, target: Target): (object: StoredObject) => boolean {
  const terms = (text: string | null): { path: string; value: string; equal: boolean }[] =>
    [...(text ?? '').matchAll(/([^,!=]+)(!?=)([^,]*)/g)].map(([, path = '', operator, value = '']) => ({
      path,
      value,
      equal: operator === '=',
    }));
  const [labels, fields] = [terms(query.get('labelSelector')), terms(query.get('fieldSelector'))];
  return (object) => {
    const own = (object.metadata['labels'] ?? {}) as Json;
    const fieldOf = (path: string): unknown =>
      path.split('.').reduce<unknown>((value, name) => (value as Json | undefined)?.[name], object);
    return (
      (target.namespace === undefined || object.metadata['namespace'] === target.namespace) &&
      labels.every(({ path, value, equal }) => (own[path] === value) === equal) &&
      fields.every(({ path, value, equal }) => (fieldOf(path) === value) === equal)
    );
  };
}

function bookmarkOf(objects: FakeObjects, path: string, annotations?: Record<string, string>): Json {
  const resource = objects.resourceAt(path) as ApiResource;
  const metadata = { resourceVersion: String(objects.version), ...(annotations === undefined ? {} : { annotations }) };
  return { type: 'BOOKMARK', object: { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata } };
}

function statusOf(code: number, reason: string, message: string): Json {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
}

function reasonOf(status: number): string {
  const words: Record<number, string> = {
    403: 'Forbidden',
    410: 'Expired',
    429: 'TooManyRequests',
    500: 'InternalError',
  };
  return words[status] ?? 'Unknown';
}

function sendStatus(response: ServerResponse, code: number, reason: string, message: string): void {
  send(response, code, statusOf(code, reason, message));
}

function send(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
