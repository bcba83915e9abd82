import { resourceKey, type Resource, type ResourceName } from '../../src/resources/resource.ts';
import type { ResourceChange } from '../../src/resources/resource-store.ts';

/** One resource that became another, came or went. */
export interface ChangedResource extends ResourceName {
  readonly before: Resource | undefined;
  readonly after: Resource | undefined;
}

/** What several changes of a store, one after the other, come to. */
export class SnapshotChanges {
  readonly #changed = new Map<string, ChangedResource>();

  get size(): number {
    return this.#changed.size;
  }

  add({ added, changed, removed }: ResourceChange): void {
    for (const after of added) this.#note(after, undefined, after);
    for (const { before, after } of changed) this.#note(after, before, after);
    for (const before of removed) this.#note(before, before, undefined);
  }

  /** Takes what there is, and begins anew. */
  take(): readonly ChangedResource[] {
    const changed = [...this.#changed.values()];
    this.#changed.clear();
    return changed;
  }

  #note({ kind, namespace, name }: Resource, before: Resource | undefined, after: Resource | undefined): void {
    const key = resourceKey({ kind, namespace, name });
    const known = this.#changed.get(key);
    const first = known === undefined ? before : known.before;
    if (first === undefined && after === undefined) this.#changed.delete(key);
    else this.#changed.set(key, { kind, namespace, name, before: first, after });
  }
}
