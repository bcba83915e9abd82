import { resourcePath, type ApiResource } from '../../src/kubernetes/api-resource.ts';
import type { KubernetesClient, ObjectList, ObjectPlace } from '../../src/kubernetes/api-client.ts';
import { readKubernetesObject, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';

type Body = Readonly<Record<string, unknown>>;

interface Stored {
  readonly text: string;
  readonly version: number;
}

/** What happened to one object, as a watch would tell it. */
export interface MemoryEvent {
  readonly resource: ApiResource;
  readonly namespace: string;
  readonly name: string;
  readonly object: KubernetesObject | undefined;
}

/**
 * Objects in memory with the API server's rules of writing: versions, conflicts, and no new version where nothing
 * changed. Every operation is one step; delays and losses are put around it by whoever needs them.
 */
export class MemoryApi {
  readonly #objects = new Map<string, Stored>();
  readonly #listeners = new Set<(event: MemoryEvent) => void>();
  #version = 0;
  /** Every operation that came, such as `update leases`. */
  readonly asked: string[] = [];

  get(resource: ApiResource, at: ObjectPlace): KubernetesObject | undefined {
    this.asked.push(`get ${resource.plural}`);
    const stored = this.#objects.get(resourcePath(resource, at));
    return stored === undefined ? undefined : this.#read(resource, stored);
  }

  list(resource: ApiResource): ObjectList {
    this.asked.push(`list ${resource.plural}`);
    const prefix = resourcePath(resource).split('/').slice(0, -1).join('/');
    const items = [...this.#objects]
      .filter(([path]) => path.startsWith(prefix) && path.split('/').at(-2) === resource.plural)
      .map(([, stored]) => this.#read(resource, stored));
    return { items, resourceVersion: String(this.#version), continue: undefined };
  }

  create(resource: ApiResource, body: Body, at: { readonly namespace?: string } = {}): KubernetesObject {
    this.asked.push(`create ${resource.plural}`);
    const name = String((body['metadata'] as Body)['name']);
    const place = { ...at, name };
    if (this.#objects.has(resourcePath(resource, place))) throw failure('kubernetes_exists', place);
    return this.#put(resource, place, {
      ...body,
      metadata: { uid: `uid-${this.#version}`, ...(body['metadata'] as Body) },
    });
  }

  update(resource: ApiResource, body: Body, at: ObjectPlace): KubernetesObject {
    this.asked.push(`update ${resource.plural}`);
    return this.#replace(resource, at, () => body);
  }

  mergePatch(resource: ApiResource, patch: Body, at: ObjectPlace): KubernetesObject {
    this.asked.push(`patch ${resource.plural}`);
    return this.#replace(resource, at, (old) => merge(old, patch), patch);
  }

  delete(resource: ApiResource, at: ObjectPlace): boolean {
    const path = resourcePath(resource, at);
    if (!this.#objects.delete(path)) return false;
    this.#version += 1;
    this.#tell({ resource, namespace: at.namespace ?? '', name: at.name, object: undefined });
    return true;
  }

  onEvent(listener: (event: MemoryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A client whose answers come without delay. */
  client(): KubernetesClient {
    const now = async <T>(call: () => T): Promise<T> => call();
    return {
      get: (...all) => now(() => this.get(...all)),
      list: (resource) => now(() => this.list(resource)),
      create: (...all) => now(() => this.create(...all)),
      update: (...all) => now(() => this.update(...all)),
      mergePatch: (...all) => now(() => this.mergePatch(...all)),
      delete: (...all) => now(() => this.delete(...all)),
      apply: () => Promise.reject(new Error('not made')),
      watch: () => {
        throw new Error('not made');
      },
      close: () => undefined,
    };
  }

  #replace(resource: ApiResource, at: ObjectPlace, make: (old: Body) => Body, said?: Body): KubernetesObject {
    const stored = this.#objects.get(resourcePath(resource, at));
    if (stored === undefined) throw failure('kubernetes_not_found', at);
    const body = make(JSON.parse(stored.text) as Body);
    const wanted = ((said ?? body)['metadata'] as Body | undefined)?.['resourceVersion'];
    if (wanted !== undefined && wanted !== String(stored.version)) throw failure('kubernetes_conflict', at);
    return this.#put(resource, at, body, stored);
  }

  #put(resource: ApiResource, at: { namespace?: string; name: string }, body: Body, old?: Stored): KubernetesObject {
    const { resourceVersion: _, ...metadata } = body['metadata'] as Body;
    const text = JSON.stringify({ ...body, metadata: { ...metadata, ...at } });
    if (old?.text === text) return this.#read(resource, old);
    this.#version += 1;
    const stored = { text, version: this.#version };
    this.#objects.set(resourcePath(resource, at), stored);
    const object = this.#read(resource, stored);
    this.#tell({ resource, namespace: at.namespace ?? '', name: at.name, object });
    return object;
  }

  #read(resource: ApiResource, { text, version }: Stored): KubernetesObject {
    const body = JSON.parse(text) as Body;
    const metadata = { ...(body['metadata'] as Body), resourceVersion: String(version) };
    const object = readKubernetesObject({ ...body, metadata }, { apiVersion: resource.version, kind: resource.kind });
    if (object === undefined) throw new Error('not an object');
    return object;
  }

  #tell(event: MemoryEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function merge(old: unknown, patch: unknown): Body {
  const base = typeof old === 'object' && old !== null ? (old as Body) : {};
  const merged: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(patch as Body)) {
    if (value === null) delete merged[name];
    else merged[name] = typeof value === 'object' && !Array.isArray(value) ? merge(base[name], value) : value;
  }
  return merged;
}

function failure(code: ErrorCode, at: ObjectPlace): SealwrightError {
  return new SealwrightError(code, { ...at });
}
