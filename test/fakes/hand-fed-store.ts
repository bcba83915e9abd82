import type { Resource } from '../../src/resources/resource.ts';
import {
  editSnapshot,
  makeSnapshot,
  type ResourceEdit,
  type ResourceListener,
  type ResourceSnapshot,
  type ResourceStore,
} from '../../src/resources/resource-store.ts';

/** A store that is told what changes, as one behind an API server is. */
export class HandFedStore implements ResourceStore {
  snapshot: ResourceSnapshot;
  readonly issues = [];
  readonly #listeners = new Set<ResourceListener>();

  constructor(resources: Iterable<Resource> = []) {
    this.snapshot = makeSnapshot(resources, 1);
  }

  subscribe(listener: ResourceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  edit(edit: ResourceEdit): void {
    const change = editSnapshot(this.snapshot, edit);
    if (change === undefined) return;
    this.snapshot = change.snapshot;
    for (const listener of this.#listeners) listener(change);
  }
}
