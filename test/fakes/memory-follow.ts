import type { Follow } from '../../ca/controllers/followed.ts';
import type { KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import type { ReflectorChange } from '../../src/kubernetes/reflector-options.ts';
import type { MemoryApi } from './memory-api.ts';

/** Follows the objects of a `MemoryApi` as a reflector follows a server's: told in the next turn, never at once. */
export function memoryFollow(api: MemoryApi): Follow {
  return <T>(
    resource: Parameters<Follow>[0],
    query: Parameters<Follow>[1],
    read: (object: KubernetesObject) => T,
  ): ReturnType<typeof follow<T>> => follow({ api, resource, query, read });
}

interface Order<T> {
  readonly api: MemoryApi;
  readonly resource: Parameters<Follow>[0];
  readonly query: Parameters<Follow>[1];
  readonly read: (object: KubernetesObject) => T;
}

function follow<T>({ api, resource, query, read }: Order<T>): {
  readonly items: ReadonlyMap<string, T>;
  readonly synced: Promise<void>;
  subscribe(listener: (change: ReflectorChange<T>) => void): () => void;
  close(): void;
} {
  const wanted = query.fieldSelector?.replace('metadata.name=', '');
  const items = new Map<string, T>();
  const listeners = new Set<(change: ReflectorChange<T>) => void>();
  for (const object of api.list(resource).items) {
    if (wanted === undefined || object.metadata.name === wanted) items.set(objectKey(object.metadata), read(object));
  }
  const stop = api.onEvent((event) => {
    if (event.resource.plural !== resource.plural || (wanted !== undefined && event.name !== wanted)) return;
    queueMicrotask(() => {
      const key = objectKey(event);
      const before = items.get(key);
      if (event.object === undefined) {
        if (before === undefined) return;
        items.delete(key);
        for (const listener of listeners) listener({ changed: [], removed: [{ key, before }] });
        return;
      }
      const after = read(event.object);
      items.set(key, after);
      for (const listener of listeners) listener({ changed: [{ key, before, after }], removed: [] });
    });
  });
  return {
    items,
    synced: Promise.resolve(),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: stop,
  };
}

function objectKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}
