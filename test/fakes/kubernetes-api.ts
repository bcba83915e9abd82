import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { createTestAuthority } from '../wire/certificates.ts';

/** Who a token belongs to, as the fake API server's table has it. */
export interface FakeTokenUser {
  readonly username: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  /** What the token is good for. */
  readonly audiences: readonly string[];
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

/** What the server does with the next requests: judge as it should, or one of the ways in which real ones fail. */
export type FakeBehaviour =
  | { readonly kind: 'answer' }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  | { readonly kind: 'body'; readonly body: string }
  | { readonly kind: 'hang' }
  | { readonly kind: 'hang-in-body' }
  | { readonly kind: 'close' };

/** What the fake's own callers must present. */
const SERVICE_TOKEN = 'the-credential-of-the-ca';

/**
 * A Kubernetes API server as far as TokenReview and the issuer's public documents go, over TLS with a CA of its own.
 * As the real one does, it wants a credential, judges audiences, and answers no token's text.
 */
export class FakeKubernetesApi {
  readonly requests: RecordedRequest[] = [];
  /** Who each known token belongs to; the test fills it. */
  readonly tokens = new Map<string, FakeTokenUser>();
  /** Further documents by path, such as `/openid/v1/jwks`. */
  readonly documents = new Map<string, unknown>();
  behaviour: FakeBehaviour = { kind: 'answer' };
  /** Old API servers, and some webhooks, know nothing of audiences and answer none. */
  knowsAudiences = true;
  /** How many TLS connections there have been. */
  connections = 0;
  readonly caPem: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #arrived: (() => void)[] = [];

  private constructor(server: Server, caPem: string) {
    this.#server = server;
    this.caPem = caPem;
    server.on('secureConnection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<FakeKubernetesApi> {
    const ca = await createTestAuthority({ name: 'O=fake-kubernetes' });
    const own = await ca.issue({ dns: ['localhost', 'kubernetes.default.svc'], ip: ['127.0.0.1'] });
    const server = createServer({ cert: own.chain, key: own.key });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FakeKubernetesApi(server, ca.root);
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Writes the CA and a credential that the server accepts, and answers the configuration that names them. */
  writeAccess(folder: string): { server: string; caFile: string; tokenFile: string } {
    const [caFile, tokenFile] = [join(folder, 'ca.crt'), join(folder, 'token')];
    writeFileSync(caFile, this.caPem);
    writeFileSync(tokenFile, `${SERVICE_TOKEN}\n`, { mode: 0o600 });
    return { server: this.url, caFile, tokenFile };
  }

  /** Writes a kubeconfig for the same credential. */
  writeKubeconfig(folder: string, cluster: Record<string, unknown> = {}): string {
    const path = join(folder, 'kubeconfig');
    const { caFile } = this.writeAccess(folder);
    // JSON is YAML.
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: this.url, 'certificate-authority': caFile, ...cluster } }],
      users: [{ name: 'u', user: { token: SERVICE_TOKEN } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }

  /** Resolves when the next request has arrived, for tests of what happens while it is not answered. */
  nextRequest(): Promise<void> {
    return new Promise((resolve) => this.#arrived.push(resolve));
  }

  /** Cuts all open connections, as a restart of the server does. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.dropConnections();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const text = Buffer.concat(pieces).toString();
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const { method = '', url: path = '' } = request;
    this.requests.push({ method, path, authorization: request.headers.authorization, body });
    for (const resolve of this.#arrived.splice(0)) resolve();
    const { behaviour } = this;
    if (behaviour.kind === 'hang') return;
    if (behaviour.kind === 'close') return void request.socket.destroy();
    if (behaviour.kind === 'hang-in-body') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{');
      return;
    }
    if (behaviour.kind === 'body') return send(response, 200, behaviour.body);
    if (behaviour.kind === 'status') {
      return send(response, behaviour.status, behaviour.body ?? statusDocument(behaviour.status), behaviour.headers);
    }
    if (request.headers.authorization !== `Bearer ${SERVICE_TOKEN}`) return send(response, 401, statusDocument(401));
    if (method === 'POST' && path === '/apis/authentication.k8s.io/v1/tokenreviews') {
      return send(response, 201, JSON.stringify(this.#review(body as TokenReview)));
    }
    const document = this.documents.get(path);
    if (method === 'GET' && document !== undefined) return send(response, 200, JSON.stringify(document));
    return send(response, 404, statusDocument(404));
  }

  #review(review: TokenReview): unknown {
    const { token, audiences: asked = [] } = review.spec;
    const user = this.tokens.get(token);
    const answer = (status: unknown): unknown => ({ apiVersion: review.apiVersion, kind: review.kind, status });
    if (user === undefined) return answer({ user: {}, error: '[invalid bearer token, unknown]' });
    const { audiences, ...who } = user;
    if (!this.knowsAudiences) return answer({ authenticated: true, user: who });
    const good = audiences.filter((audience) => asked.includes(audience));
    if (good.length > 0) return answer({ authenticated: true, user: who, audiences: good });
    const error = `[invalid bearer token, token audiences ${JSON.stringify(audiences)} is invalid for the target audiences ${JSON.stringify(asked)}]`;
    return answer({ user: {}, error });
  }
}

interface TokenReview {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: { readonly token: string; readonly audiences?: readonly string[] };
}

function statusDocument(code: number): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'Status', status: 'Failure', code });
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body);
}
