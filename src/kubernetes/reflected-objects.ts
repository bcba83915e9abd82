import type { KubernetesObject } from './kubernetes-object.ts';
import type { ReflectorChange } from './reflector-options.ts';

interface Held<T> {
  readonly uid: string;
  readonly resourceVersion: string;
  /** Undefined where no version of the object could be read yet. */
  readonly value: { readonly of: T } | undefined;
}

/** Reads one object; undefined where it cannot be read. */
export type ObjectReader<T> = (object: KubernetesObject) => { readonly of: T } | undefined;

/** The whole of a kind while it is being told, which may end in the middle. */
export interface Replacement {
  put(object: KubernetesObject): void;
  remove(object: KubernetesObject): void;
  /** From now on this is the whole: what is not in it is gone. */
  commit(): void;
}

/** The objects of one kind as they were last told, and what changed since `flush`. */
export class ReflectedObjects<T> {
  readonly #read: ObjectReader<T>;
  readonly #items = new Map<string, T>();
  /** What each changed key was at the last flush. */
  readonly #before = new Map<string, T | undefined>();
  #held = new Map<string, Held<T>>();

  constructor(read: ObjectReader<T>) {
    this.#read = read;
  }

  get items(): ReadonlyMap<string, T> {
    return this.#items;
  }

  put(object: KubernetesObject): void {
    const key = keyOf(object);
    const held = this.#next(key, object, this.#held);
    this.#held.set(key, held);
    if (held.value !== undefined) this.#set(key, held.value.of);
  }

  remove(object: KubernetesObject): void {
    const key = keyOf(object);
    this.#held.delete(key);
    this.#unset(key);
  }

  replace(): Replacement {
    const next = new Map<string, Held<T>>();
    return {
      put: (object) => {
        const key = keyOf(object);
        next.set(key, this.#next(key, object, next.has(key) ? next : this.#held));
      },
      remove: (object) => {
        next.delete(keyOf(object));
      },
      commit: () => {
        this.#held = next;
        for (const key of this.#items.keys()) if (!next.has(key)) this.#unset(key);
        for (const [key, { value }] of next) if (value !== undefined) this.#set(key, value.of);
      },
    };
  }

  /** What changed since the last time, or undefined. */
  flush(): ReflectorChange<T> | undefined {
    const changed: { key: string; before: T | undefined; after: T }[] = [];
    const removed: { key: string; before: T }[] = [];
    for (const [key, before] of this.#before) {
      const after = this.#items.get(key);
      if (after !== undefined && after !== before) changed.push({ key, before, after });
      else if (after === undefined && before !== undefined) removed.push({ key, before });
    }
    this.#before.clear();
    return changed.length + removed.length === 0 ? undefined : { changed, removed };
  }

  /** The object is read only where it is another than before: a relist of an unchanged cluster costs no reading. */
  #next(key: string, object: KubernetesObject, among: ReadonlyMap<string, Held<T>>): Held<T> {
    const { uid, resourceVersion } = object.metadata;
    const before = among.get(key);
    if (before?.uid === uid && before.resourceVersion === resourceVersion) return before;
    return { uid, resourceVersion, value: this.#read(object) ?? before?.value };
  }

  #set(key: string, value: T): void {
    const before = this.#items.get(key);
    if (before === value) return;
    if (!this.#before.has(key)) this.#before.set(key, before);
    this.#items.set(key, value);
  }

  #unset(key: string): void {
    const before = this.#items.get(key);
    if (before === undefined) return;
    if (!this.#before.has(key)) this.#before.set(key, before);
    this.#items.delete(key);
  }
}

/** `namespace/name`, or the name alone of an object of the whole cluster. */
function keyOf({ metadata: { namespace, name } }: KubernetesObject): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}
