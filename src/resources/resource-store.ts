import type { Issue } from '../core/issue.ts';
import { resourceKey, type Resource, type ResourceName } from './resource.ts';

/** The resources in force at one moment. */
export interface ResourceSnapshot {
  /** Counts up with each change. */
  readonly revision: number;
  readonly all: readonly Resource[];
  get(name: ResourceName): Resource | undefined;
  /** In the order of namespace and name. */
  list(kind: string, namespace?: string): readonly Resource[];
}

/** What became different between two snapshots. */
export interface ResourceChange {
  readonly snapshot: ResourceSnapshot;
  readonly added: readonly Resource[];
  readonly changed: readonly { readonly before: Resource; readonly after: Resource }[];
  readonly removed: readonly Resource[];
}

export type ResourceListener = (change: ResourceChange) => void;

/** Judges one resource beyond its envelope: what the rooms that read a kind plug in. */
export type ResourceValidator = (resource: Resource) => readonly Issue[];

/** Resources that keep themselves up to date, from a folder or an API server. */
export interface ResourceStore {
  readonly snapshot: ResourceSnapshot;
  /** What is wrong at present with what people wrote; resources in force have no errors. */
  readonly issues: readonly Issue[];
  /** Calls back after each change, never before `subscribe` returned. Answers how to stop it. */
  subscribe(listener: ResourceListener): () => void;
}

/** Makes a snapshot. Resources with one name: the first counts. */
export function makeSnapshot(resources: Iterable<Resource>, revision: number): ResourceSnapshot {
  const byKey = new Map<string, Resource>();
  for (const resource of resources) {
    const key = resourceKey(resource);
    if (!byKey.has(key)) byKey.set(key, resource);
  }
  const all = Object.freeze([...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, resource]) => resource));
  const byKind = Map.groupBy(all, (resource) => resource.kind);
  return Object.freeze({
    revision,
    all,
    get: (name: ResourceName) => byKey.get(resourceKey(name)),
    list: (kind: string, namespace?: string) => {
      const ofKind = byKind.get(kind) ?? [];
      return namespace === undefined ? ofKind : ofKind.filter((resource) => resource.namespace === namespace);
    },
  });
}

/** The difference between two snapshots, or nothing where they hold the same. */
export function compareSnapshots(before: ResourceSnapshot, after: ResourceSnapshot): ResourceChange | undefined {
  const added = after.all.filter((resource) => before.get(resource) === undefined);
  const removed = before.all.filter((resource) => after.get(resource) === undefined);
  const changed = after.all.flatMap((resource) => {
    const old = before.get(resource);
    return old === undefined || old.version === resource.version ? [] : [{ before: old, after: resource }];
  });
  if (added.length + removed.length + changed.length === 0) return undefined;
  return Object.freeze({ snapshot: after, added, changed, removed });
}
