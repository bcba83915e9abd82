import type { Slices } from '../../src/policy/slices.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { serviceAddress, workloadAddress, type AddressOptions, type MeshAddress } from './mesh-address.ts';
import type { ModelChange } from './mesh-model.ts';
import type { OwnedService } from './owned-service.ts';
import type { PlacedWorkload } from './placed-workload.ts';
import { SharedMap } from './shared-map.ts';
import type { TypeIndex } from './type-index.ts';

/** An address that became different, and all names under which it was or is asked for. */
export interface ChangedAddress {
  readonly name: string;
  readonly names: readonly string[];
}

export interface DirectoryChange {
  readonly directory: AddressDirectory;
  readonly changed: readonly ChangedAddress[];
}

/** Names that are edited before others have a turn. */
const CHUNK = 256;

/** All addresses of one moment of the mesh, by name and by alias. Shares with the moment before what did not change. */
export class AddressDirectory {
  readonly #options: AddressOptions;
  /** Of several that have one name the first that may be seen counts. */
  readonly #named: SharedMap<readonly MeshAddress[]>;
  /** The names of what has an alias. */
  readonly #aliases: SharedMap<readonly string[]>;

  private constructor(
    options: AddressOptions,
    named: SharedMap<readonly MeshAddress[]>,
    aliases: SharedMap<readonly string[]>,
  ) {
    this.#options = options;
    this.#named = named;
    this.#aliases = aliases;
  }

  static empty(options: AddressOptions): AddressDirectory {
    return new AddressDirectory(options, SharedMap.empty(), SharedMap.empty());
  }

  /** The addresses as somebody of this namespace may see them. */
  seenFrom(namespace: string): TypeIndex {
    const seen = (name: string): XdsResource | undefined => this.#seen(name, namespace);
    return {
      find: (name) => {
        const found: XdsResource[] = [];
        const named = seen(name);
        if (named !== undefined) found.push(named);
        for (const other of this.#aliases.get(name) ?? []) {
          const resource = other === name ? undefined : seen(other);
          // It may have the name for others alone.
          if (resource?.aliases.includes(name) === true) found.push(resource);
        }
        return found;
      },
      names: () => this.#namesFrom(namespace),
    };
  }

  *#namesFrom(namespace: string): Generator<string> {
    for (const name of this.#named.keys()) if (this.#seen(name, namespace) !== undefined) yield name;
  }

  #seen(name: string, namespace: string): XdsResource | undefined {
    for (const address of this.#named.get(name) ?? []) {
      const resource = address.seenFrom(namespace);
      if (resource !== undefined) return resource;
    }
    return undefined;
  }

  /** The directory of the next moment. */
  *next({ services, workloads }: ModelChange): Slices<DirectoryChange> {
    const edit = new Map<string, Edit>();
    for (const told of services) {
      for (const owned of told.before) editOf(edit, owned.service.key).gone.add(owned);
      for (const owned of told.after) editOf(edit, owned.service.key).come.push(serviceAddress(owned));
      yield;
    }
    for (const told of workloads) {
      // What stays the same object stays.
      const kept = new Set(told.after.filter((placed) => told.before.includes(placed)));
      for (const placed of told.before) if (!kept.has(placed)) editOf(edit, placed.workload.uid).gone.add(placed);
      for (const placed of told.after) {
        if (!kept.has(placed)) editOf(edit, placed.workload.uid).come.push(workloadAddress(placed, this.#options));
      }
      yield;
    }
    return yield* this.#edited(edit);
  }

  *#edited(edit: ReadonlyMap<string, Edit>): Slices<DirectoryChange> {
    const named = new Map<string, readonly MeshAddress[] | undefined>();
    const aliases = new Map<string, AliasEdit>();
    const changed: ChangedAddress[] = [];
    for (const [name, { gone, come }] of edit) {
      const before = this.#named.get(name) ?? [];
      const after = [...before.filter(({ of }) => !gone.has(of)), ...come].sort(inOrder);
      named.set(name, after.length === 0 ? undefined : after);
      const [old, fresh] = [aliasesOf(before), aliasesOf(after)];
      for (const alias of old) if (!fresh.has(alias)) aliasEditOf(aliases, alias).lose.add(name);
      for (const alias of fresh) if (!old.has(alias)) aliasEditOf(aliases, alias).gain.push(name);
      changed.push({ name, names: [...new Set([name, ...old, ...fresh])] });
      yield;
    }
    const lists = new Map<string, readonly string[] | undefined>();
    for (const [alias, { lose, gain }] of aliases) {
      const list = [...(this.#aliases.get(alias) ?? []).filter((name) => !lose.has(name)), ...gain];
      lists.set(alias, list.length === 0 ? undefined : list);
      yield;
    }
    const next = new AddressDirectory(
      this.#options,
      yield* editedInChunks(this.#named, named),
      yield* editedInChunks(this.#aliases, lists),
    );
    return { directory: next, changed };
  }
}

interface Edit {
  readonly gone: Set<MeshAddress['of']>;
  readonly come: MeshAddress[];
}

interface AliasEdit {
  readonly lose: Set<string>;
  readonly gain: string[];
}

function editOf(edit: Map<string, Edit>, name: string): Edit {
  const known = edit.get(name) ?? { gone: new Set(), come: [] };
  edit.set(name, known);
  return known;
}

function aliasEditOf(edit: Map<string, AliasEdit>, alias: string): AliasEdit {
  const known = edit.get(alias) ?? { lose: new Set(), gain: [] };
  edit.set(alias, known);
  return known;
}

function aliasesOf(addresses: readonly MeshAddress[]): ReadonlySet<string> {
  return new Set(addresses.flatMap(({ aliases }) => aliases));
}

/** Services in the order in which they count. No two workloads have one uid, but for the endpoints of one resource. */
function inOrder(a: MeshAddress, b: MeshAddress): number {
  const [one, other] = [orderOf(a.of), orderOf(b.of)];
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function orderOf(of: OwnedService | PlacedWorkload): string {
  return 'order' in of ? of.order : '';
}

function* editedInChunks<V>(map: SharedMap<V>, edit: ReadonlyMap<string, V | undefined>): Slices<SharedMap<V>> {
  let result = map;
  let chunk = new Map<string, V | undefined>();
  for (const [key, value] of edit) {
    chunk.set(key, value);
    if (chunk.size < CHUNK) continue;
    result = result.with(chunk);
    chunk = new Map();
    yield;
  }
  return result.with(chunk);
}
