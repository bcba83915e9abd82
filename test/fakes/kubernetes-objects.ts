import { apiVersionOf, type ApiResource } from '../../src/kubernetes/api-resource.ts';

export type Json = Record<string, unknown>;

export interface StoredObject extends Json {
  readonly metadata: Json & { readonly name: string; readonly uid: string; readonly resourceVersion: string };
}

/** One change as a watch tells of it. */
export interface StoredEvent {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
}

interface Kind {
  readonly resource: ApiResource;
  readonly objects: Map<string, StoredObject>;
  readonly history: StoredEvent[];
  /** History up to and with this version is forgotten. */
  compacted: number;
}

/** What an API server keeps: objects by kind, each change with one version more than the last, and a history. */
export class FakeObjects {
  readonly #kinds = new Map<string, Kind>();
  readonly #listeners = new Set<(path: string, event: StoredEvent) => void>();
  #version = 1;
  #uid = 0;

  define(resource: ApiResource): void {
    const path = listPath(resource);
    if (this.#kinds.has(path)) return;
    this.#kinds.set(path, { resource, objects: new Map(), history: [], compacted: 0 });
  }

  undefine(resource: ApiResource): void {
    this.#kinds.delete(listPath(resource));
  }

  get version(): number {
    return this.#version;
  }

  resourceAt(path: string): ApiResource | undefined {
    return this.#kinds.get(path)?.resource;
  }

  subscribe(listener: (path: string, event: StoredEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** In the order of their keys. */
  list(path: string): readonly StoredObject[] {
    const kind = this.#kindOf(path);
    return [...kind.objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  get(path: string, key: string): StoredObject | undefined {
    return this.#kindOf(path).objects.get(key);
  }

  /** Undefined where what comes after that version is no longer known. */
  since(path: string, version: number): readonly StoredEvent[] | undefined {
    const kind = this.#kindOf(path);
    if (version < kind.compacted) return undefined;
    return kind.history.filter((event) => event.version > version);
  }

  /** Forgets the history of all kinds up to now, as etcd's compaction and a restart of the API server do. */
  compact(): void {
    this.#version += 1;
    for (const kind of this.#kinds.values()) {
      kind.history.length = 0;
      kind.compacted = this.#version;
    }
  }

  /** Writes an object as it is; a new one that has no uid gets one. */
  put(path: string, body: Json): StoredObject {
    const kind = this.#kindOf(path);
    const { metadata = {}, ...rest } = body as { metadata?: Json };
    const name = String(metadata['name']);
    const namespace = kind.resource.namespaced ? { namespace: metadata['namespace'] ?? 'default' } : {};
    const key = keyOf({ ...metadata, ...namespace, name });
    const before = kind.objects.get(key);
    this.#version += 1;
    const object: StoredObject = {
      apiVersion: apiVersionOf(kind.resource),
      kind: kind.resource.kind,
      ...rest,
      metadata: {
        ...metadata,
        ...namespace,
        name,
        uid: before?.metadata.uid ?? (metadata['uid'] as string | undefined) ?? `uid-${(this.#uid += 1)}`,
        creationTimestamp: before?.metadata['creationTimestamp'] ?? '2026-01-01T00:00:00Z',
        resourceVersion: String(this.#version),
      },
    };
    kind.objects.set(key, object);
    this.#happened(path, { version: this.#version, type: before === undefined ? 'ADDED' : 'MODIFIED', object });
    return object;
  }

  remove(path: string, key: string): boolean {
    const kind = this.#kindOf(path);
    const before = kind.objects.get(key);
    if (before === undefined) return false;
    this.#version += 1;
    kind.objects.delete(key);
    // A deletion is told with the object as it last was, at the version of the deletion.
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#version) } };
    this.#happened(path, { version: this.#version, type: 'DELETED', object });
    return true;
  }

  #happened(path: string, event: StoredEvent): void {
    this.#kindOf(path).history.push(event);
    for (const listener of this.#listeners) listener(path, event);
  }

  #kindOf(path: string): Kind {
    const kind = this.#kinds.get(path);
    if (kind === undefined) throw new Error(`no kind at ${path}`);
    return kind;
  }
}

/** The path of all objects of a kind. */
export function listPath({ group, version, plural }: ApiResource): string {
  return group === '' ? `/api/${version}/${plural}` : `/apis/${group}/${version}/${plural}`;
}

export function keyOf(metadata: Readonly<Record<string, unknown>>): string {
  const [namespace, name] = [metadata['namespace'] as string | undefined, String(metadata['name'])];
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}
