import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { TypeIndex } from './type-index.ts';

/** Resources of one type by name and by alias. */
export class ResourceIndex implements TypeIndex {
  readonly #byName = new Map<string, XdsResource>();
  readonly #byAlias = new Map<string, XdsResource[]>();
  #before: { readonly index: ResourceIndex; readonly names: readonly string[] } | undefined;

  /** Of two resources with one name the first counts. */
  constructor(resources: Iterable<XdsResource>) {
    for (const resource of resources) {
      if (this.#byName.has(resource.name)) continue;
      this.#byName.set(resource.name, resource);
      for (const alias of resource.aliases) {
        const known = this.#byAlias.get(alias);
        if (known === undefined) this.#byAlias.set(alias, [resource]);
        else known.push(resource);
      }
    }
  }

  get size(): number {
    return this.#byName.size;
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  find(name: string): readonly XdsResource[] {
    const named = this.#byName.get(name);
    const others = this.#byAlias.get(name) ?? [];
    return named === undefined ? others : [named, ...others.filter((other) => other !== named)];
  }

  /** The names of what is new, different or gone since another index. Asked by every subscriber, computed once. */
  changesSince(before: ResourceIndex): readonly string[] {
    if (before === this) return [];
    if (this.#before?.index !== before) this.#before = { index: before, names: this.#compare(before) };
    return this.#before.names;
  }

  #compare(before: ResourceIndex): readonly string[] {
    const changed = [...this.#byName].filter(([name, { version }]) => before.#byName.get(name)?.version !== version);
    const gone = [...before.#byName.keys()].filter((name) => !this.#byName.has(name));
    return [...changed.map(([name]) => name), ...gone];
  }
}
