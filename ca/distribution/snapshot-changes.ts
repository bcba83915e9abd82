import type { Resource } from '../../src/resources/resource.ts';
import { compareSnapshots, type ResourceChange, type ResourceSnapshot } from '../../src/resources/resource-store.ts';

/** One resource that became another, came or went. */
export interface ChangedResource {
  readonly kind: string;
  /** `<namespace>/<name>`. */
  readonly name: string;
  /** What it was and what it is, as far as there is such. */
  readonly resources: readonly Resource[];
}

/** What differs between two snapshots. Asked by every subscriber, computed once. */
export class SnapshotChanges {
  #known:
    | { readonly before: ResourceSnapshot; readonly after: ResourceSnapshot; readonly list: readonly ChangedResource[] }
    | undefined;

  /** The store knows already what it changed. */
  learn(before: ResourceSnapshot, change: ResourceChange): void {
    this.#known = { before, after: change.snapshot, list: listOf(change) };
  }

  between(before: ResourceSnapshot, after: ResourceSnapshot): readonly ChangedResource[] {
    if (before === after) return [];
    if (this.#known?.before !== before || this.#known.after !== after) {
      const change = compareSnapshots(before, after);
      this.#known = { before, after, list: change === undefined ? [] : listOf(change) };
    }
    return this.#known.list;
  }
}

function listOf({ added, changed, removed }: ResourceChange): readonly ChangedResource[] {
  const one = ({ kind, namespace, name }: Resource, ...resources: Resource[]): ChangedResource => {
    return { kind, name: `${namespace}/${name}`, resources };
  };
  return [
    ...[...added, ...removed].map((resource) => one(resource, resource)),
    ...changed.map(({ before, after }) => one(after, before, after)),
  ];
}
