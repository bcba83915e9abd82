import type { Resource, ResourceName } from './resource.ts';

/** The resources in force at one moment. */
export interface ResourceSnapshot {
  /** Counts up with each change. */
  readonly revision: number;
  readonly all: readonly Resource[];
  get(name: ResourceName): Resource | undefined;
  /**
   * In the order of namespace and name. The list of one namespace is the same object as long as nothing in it changes,
   * so that what is made of it can be remembered by it.
   */
  list(kind: string, namespace?: string): readonly Resource[];
}

/** What becomes of a snapshot: these come in, or take the place of what has their name; these go. */
export interface ResourceEdit {
  readonly put?: Iterable<Resource>;
  readonly remove?: Iterable<ResourceName>;
}

/** What became different between two snapshots. */
export interface ResourceChange {
  readonly snapshot: ResourceSnapshot;
  readonly added: readonly Resource[];
  readonly changed: readonly { readonly before: Resource; readonly after: Resource }[];
  readonly removed: readonly Resource[];
}

/** Of one kind and namespace, in the order of their names. */
type Group = readonly Resource[];
type Groups = ReadonlyMap<string, ReadonlyMap<string, Group>>;

const NONE: Group = Object.freeze([]);

/**
 * A snapshot that shares with the one before it all groups (one for each kind and namespace) in which nothing changed:
 * what a change costs is the size of its groups, as pointers, and not the size of the cluster.
 */
export class GroupedSnapshot implements ResourceSnapshot {
  readonly revision: number;
  readonly groups: Groups;
  readonly #ofKind = new Map<string, Group>();
  #all: Group | undefined;

  constructor(groups: Groups, revision: number) {
    this.groups = groups;
    this.revision = revision;
  }

  /** Put together when it is first asked for: nobody does with each change. */
  get all(): Group {
    this.#all ??= [...this.groups.keys()].sort().flatMap((kind) => this.list(kind));
    return this.#all;
  }

  get({ kind, namespace, name }: ResourceName): Resource | undefined {
    const group = this.groups.get(kind)?.get(namespace);
    if (group === undefined) return undefined;
    const found = group[placeOf(group, name)];
    return found?.name === name ? found : undefined;
  }

  list(kind: string, namespace?: string): Group {
    const byNamespace = this.groups.get(kind);
    if (byNamespace === undefined) return NONE;
    if (namespace !== undefined) return byNamespace.get(namespace) ?? NONE;
    const known = this.#ofKind.get(kind);
    if (known !== undefined) return known;
    const list = [...byNamespace.keys()].sort().flatMap((each) => byNamespace.get(each) ?? []);
    this.#ofKind.set(kind, list);
    return list;
  }
}

/** Makes a snapshot. Resources with one name: the first counts. */
export function makeSnapshot(resources: Iterable<Resource>, revision: number): GroupedSnapshot {
  const first = new Map<string, Map<string, Map<string, Resource>>>();
  for (const resource of resources) {
    const { kind, namespace, name } = resource;
    const byName = inner(inner(first, kind), namespace);
    if (!byName.has(name)) byName.set(name, resource);
  }
  const groups = [...first].map(([kind, byNamespace]) => {
    const sorted = [...byNamespace].map(([namespace, byName]) => [namespace, sortedByName(byName.values())] as const);
    return [kind, new Map(sorted)] as const;
  });
  return new GroupedSnapshot(new Map(groups), revision);
}

/**
 * The snapshot that an edit makes, with what became different; nothing where that is nothing. Of two that are put under
 * one name the last counts, and what is both put and removed is there.
 */
export function editSnapshot(before: ResourceSnapshot, edit: ResourceEdit): ResourceChange | undefined {
  const edited = new Map<string, Map<string, Map<string, Resource | undefined>>>();
  for (const { kind, namespace, name } of edit.remove ?? []) {
    if (before.get({ kind, namespace, name }) !== undefined) inner(inner(edited, kind), namespace).set(name, undefined);
  }
  for (const resource of edit.put ?? []) {
    inner(inner(edited, resource.kind), resource.namespace).set(resource.name, resource);
  }
  const { groups: old } = before instanceof GroupedSnapshot ? before : makeSnapshot(before.all, before.revision);
  const groups = new Map(old);
  const change = {
    added: [] as Resource[],
    changed: [] as ResourceChange['changed'][number][],
    removed: [] as Resource[],
  };
  for (const [kind, byNamespace] of edited) {
    const namespaces = new Map(old.get(kind));
    for (const [namespace, byName] of byNamespace) {
      const group = editGroup(namespaces.get(namespace) ?? NONE, byName, change);
      if (group.length === 0) namespaces.delete(namespace);
      else namespaces.set(namespace, group);
    }
    if (namespaces.size === 0) groups.delete(kind);
    else groups.set(kind, namespaces);
  }
  if (change.added.length + change.changed.length + change.removed.length === 0) return undefined;
  return Object.freeze({ ...change, snapshot: new GroupedSnapshot(groups, before.revision + 1) });
}

/** The difference between two snapshots, or nothing where they hold the same. */
export function compareSnapshots(before: ResourceSnapshot, after: ResourceSnapshot): ResourceChange | undefined {
  const added = after.all.filter((resource) => before.get(resource) === undefined);
  const removed = before.all.filter((resource) => after.get(resource) === undefined);
  const changed = after.all.flatMap((resource) => {
    const old = before.get(resource);
    return old === undefined || isSame(old, resource) ? [] : [{ before: old, after: resource }];
  });
  if (added.length + removed.length + changed.length === 0) return undefined;
  return Object.freeze({ snapshot: after, added, changed, removed });
}

/** One that was deleted and made again with the same content is younger, which can decide between two. */
function isSame(a: Resource, b: Resource): boolean {
  return a.version === b.version && a.creationTimestamp === b.creationTimestamp && a.uid === b.uid;
}

interface Difference {
  readonly added: Resource[];
  readonly changed: ResourceChange['changed'][number][];
  readonly removed: Resource[];
}

/**
 * Merges an edit into a group, and notes what became different. What stays the same keeps its object: what was made of
 * it (its parsed form, its envelope) is remembered by that. A group in which nothing changes stays the same as a whole.
 */
function editGroup(group: Group, edit: ReadonlyMap<string, Resource | undefined>, difference: Difference): Group {
  const result: Resource[] = [];
  let [from, same] = [0, true];
  const keepUntil = (to: number): void => {
    for (const resource of group.slice(from, to)) result.push(resource);
  };
  for (const [name, after] of [...edit].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const place = placeOf(group, name);
    keepUntil(place);
    const there = group[place];
    const before = there?.name === name ? there : undefined;
    from = before === undefined ? place : place + 1;
    if (before !== undefined && after !== undefined && isSame(before, after)) {
      result.push(before);
      continue;
    }
    if (after !== undefined) result.push(after);
    if (before === undefined) {
      if (after !== undefined) difference.added.push(after);
    } else if (after === undefined) difference.removed.push(before);
    else difference.changed.push({ before, after });
    same &&= before === after;
  }
  if (same) return group;
  keepUntil(group.length);
  return result;
}

/** Where a name stands in a group, or would. */
function placeOf(group: Group, name: string): number {
  let [low, high] = [0, group.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const there = group[middle];
    if (there !== undefined && there.name < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sortedByName(resources: Iterable<Resource>): Group {
  return [...resources].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function inner<K, V>(outer: Map<string, Map<K, V>>, key: string): Map<K, V> {
  const known = outer.get(key) ?? new Map<K, V>();
  outer.set(key, known);
  return known;
}
