import { Agent } from 'node:https';
import type { Clock } from '../core/clock.ts';
import { openApiAccess, type KubernetesConfig } from './api-access.ts';
import { isAboutObject } from './api-errors.ts';
import { apiVersionOf, type ApiResource } from './api-resource.ts';
import { ApiTransport, type ApiRequest } from './api-transport.ts';
import { isRecord, readKubernetesObject, type KubernetesObject } from './kubernetes-object.ts';
import { openWatch, type Watch, type WatchHandlers, type WatchQuery } from './watch.ts';

/** Where one object is. */
export interface ObjectPlace {
  readonly namespace?: string;
  readonly name: string;
}

export interface ListQuery {
  /** All namespaces where none is given. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The most objects of one answer; there is more where `continue` comes with it. */
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
}

export interface ObjectList {
  readonly items: readonly KubernetesObject[];
  /** From where a watch goes on. */
  readonly resourceVersion: string;
  /** Set where the answer is not the last page. */
  readonly continue: string | undefined;
}

/** What is written to the API server; `body` needs neither `apiVersion` nor `kind`. */
type Body = Readonly<Record<string, unknown>>;

/**
 * The Kubernetes API server. Every call is one request (once more after a 401, with credentials read again), bounded in
 * time and in the size of its answer, and throws by what the server said:
 *
 * `kubernetes_unreachable` (no usable answer; `status` where there was one), `kubernetes_forbidden`,
 * `kubernetes_not_found`, `kubernetes_exists`, `kubernetes_conflict`, `kubernetes_gone`, `kubernetes_invalid`,
 * `kubernetes_throttled` (`retryAfterOf`). Fields name verb, resource, namespace and name, as a role would.
 */
export interface KubernetesClient {
  /** Undefined where there is no such object; a kind that the server does not know is `kubernetes_not_found`. */
  get(resource: ApiResource, at: ObjectPlace): Promise<KubernetesObject | undefined>;
  list(resource: ApiResource, query?: ListQuery): Promise<ObjectList>;
  /** With `subresource`, such as a service account's `token`, `name` is the object that it belongs to. */
  create(
    resource: ApiResource,
    body: Body,
    at?: { readonly namespace?: string; readonly name?: string; readonly subresource?: string },
  ): Promise<KubernetesObject>;
  /** Replaces the object. With `metadata.resourceVersion` in the body only that version of it (`kubernetes_conflict`). */
  update(
    resource: ApiResource,
    body: Body,
    at: ObjectPlace & { readonly subresource?: string },
  ): Promise<KubernetesObject>;
  /** Server-side apply: the fields in the body become this manager's. Of others' only by `force`. */
  apply(
    resource: ApiResource,
    body: Body,
    at: ObjectPlace & { readonly subresource?: string; readonly fieldManager: string; readonly force?: boolean },
  ): Promise<KubernetesObject>;
  mergePatch(
    resource: ApiResource,
    patch: Body,
    at: ObjectPlace & { readonly subresource?: string },
  ): Promise<KubernetesObject>;
  /** False where it was not there. With `uid` or `resourceVersion` only that one (`kubernetes_conflict`). */
  delete(
    resource: ApiResource,
    at: ObjectPlace & { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<boolean>;
  /** Tells of what changes, until it ends: a `Reflector` begins again and again. */
  watch(resource: ApiResource, query: WatchQuery, handlers: WatchHandlers): Watch;
  /** Ends connections and watches. */
  close(): void;
}

export interface KubernetesClientOptions {
  readonly config: KubernetesConfig;
  readonly clock: Pick<Clock, 'after' | 'elapsed'>;
  /** Milliseconds for one request; ten seconds if not given. A list has three times as long. */
  readonly timeout?: number;
  /** Requests under way at once, the others wait within their timeout; 32 if not given. */
  readonly concurrency?: number;
  /** Bytes of one answer; 4 MiB and for a list 64 MiB if not given. The API server keeps objects of up to 1.5 MiB. */
  readonly sizeLimit?: number;
  readonly listSizeLimit?: number;
  /** Bytes of one event of a watch; 16 MiB if not given: JSON may need six for one byte of an object. */
  readonly lineLimit?: number;
}

/** @throws SealwrightError `kubernetes_config_invalid` (the promise) */
export async function createKubernetesClient(options: KubernetesClientOptions): Promise<KubernetesClient> {
  const { config, clock, timeout = 10_000, concurrency = 32 } = options;
  const { sizeLimit = 4 * 1024 * 1024, listSizeLimit = 64 * 1024 * 1024 } = options;
  const { lineLimit = 16 * 1024 * 1024 } = options;
  // A watch has its connection for minutes: the requests must not wait for one.
  const agent = new Agent({ keepAlive: true });
  const watches = new Set<Watch>();
  const transport = new ApiTransport({ access: await openApiAccess(config), clock, concurrency });
  type Asked = Omit<ApiRequest, 'timeout' | 'sizeLimit'>;

  const jsonOf = async (request: ApiRequest): Promise<Body> => {
    const answer = await transport.send(request);
    if (answer.status < 200 || answer.status > 299) throw transport.errorOf(answer, request);
    const value = parseRecord(answer.body);
    if (value === undefined) throw transport.unreachable(request, 'its answer is no JSON object');
    return value;
  };
  const objectOf = async (asked: Asked): Promise<KubernetesObject> => {
    const request = { ...asked, timeout, sizeLimit };
    const object = readKubernetesObject(await jsonOf(request), typeOf(asked.resource));
    if (object === undefined) throw transport.unreachable(request, 'its answer is no object');
    return object;
  };
  const typed = (resource: ApiResource, body: Body): Body => ({ ...typeOf(resource), ...body });

  return {
    get: async (resource, at) => {
      const request = { method: 'GET', verb: 'get', resource, at, timeout, sizeLimit } as const;
      const answer = await transport.send(request);
      if (answer.status === 404 && isAboutObject(answer.body, at.name)) return undefined;
      if (answer.status !== 200) throw transport.errorOf(answer, request);
      const object = readKubernetesObject(parseRecord(answer.body), typeOf(resource));
      if (object?.metadata.name !== at.name)
        throw transport.unreachable(request, 'its answer is no object of this name');
      return object;
    },
    list: async (resource, { namespace, ...query } = {}) => {
      const at = { namespace };
      const request = {
        method: 'GET',
        verb: 'list',
        resource,
        at,
        query,
        timeout: 3 * timeout,
        sizeLimit: listSizeLimit,
      } as const;
      const list = readList(await jsonOf(request), resource);
      if (list === undefined) throw transport.unreachable(request, 'its answer is no list of objects');
      return list;
    },
    create: (resource, body, at = {}) =>
      objectOf({ method: 'POST', verb: 'create', resource, at, body: typed(resource, body) }),
    update: (resource, body, at) =>
      objectOf({ method: 'PUT', verb: 'update', resource, at, body: typed(resource, body) }),
    apply: (resource, body, { fieldManager, force, ...at }) =>
      objectOf({
        method: 'PATCH',
        verb: 'patch',
        resource,
        at,
        query: { fieldManager, force },
        body: typed(resource, body),
        contentType: 'application/apply-patch+yaml',
      }),
    mergePatch: (resource, body, at) =>
      objectOf({ method: 'PATCH', verb: 'patch', resource, at, body, contentType: 'application/merge-patch+json' }),
    delete: async (resource, { uid, resourceVersion, ...at }) => {
      const preconditions = {
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions };
      const request = { method: 'DELETE', verb: 'delete', resource, at, body, timeout, sizeLimit } as const;
      const answer = await transport.send(request);
      if (answer.status === 404 && isAboutObject(answer.body, at.name)) return false;
      if (answer.status < 200 || answer.status > 299) throw transport.errorOf(answer, request);
      return true;
    },
    watch: (resource, query, { onEnd, ...handlers }) => {
      const ended: WatchHandlers['onEnd'] = (end) => {
        watches.delete(watch);
        onEnd(end);
      };
      const watch = openWatch(resource, query, { ...handlers, onEnd: ended }, { transport, agent, clock, lineLimit });
      watches.add(watch);
      return watch;
    },
    close: () => {
      for (const watch of watches) watch.close();
      agent.destroy();
      transport.close();
    },
  };
}

function typeOf(resource: ApiResource): { readonly apiVersion: string; readonly kind: string } {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function parseRecord(body: Buffer): Body | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    // The engine's message would quote the answer.
    return undefined;
  }
}

/** An answer in which something is no object is no answer at all: taken for the whole, it would take objects away. */
function readList(value: Body, resource: ApiResource): ObjectList | undefined {
  const { items, metadata } = value;
  if (!isRecord(metadata)) return undefined;
  const { resourceVersion, continue: next } = metadata;
  // Go writes an empty list of some kinds as null.
  const listed: readonly unknown[] | undefined = items === null ? [] : Array.isArray(items) ? items : undefined;
  if (listed === undefined || typeof resourceVersion !== 'string') return undefined;
  const objects = listed.flatMap((item) => {
    const object = readKubernetesObject(item, typeOf(resource));
    return object === undefined || object.metadata.name === '' ? [] : [object];
  });
  if (objects.length !== listed.length) return undefined;
  return { items: objects, resourceVersion, continue: typeof next === 'string' && next !== '' ? next : undefined };
}
