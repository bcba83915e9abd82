import type { XdsResource } from '../../src/wire/xds-message.ts';

/** The resources of one type, for those who may see the same, at one moment. */
export interface TypeIndex {
  /** Those that have this name or alias. */
  find(name: string): readonly XdsResource[];
  names(): Iterable<string>;
}

/** A few resources without aliases, found out when somebody asks. Of two with one name the first counts. */
export function indexOf(make: () => readonly XdsResource[]): TypeIndex {
  let made: readonly XdsResource[] | undefined;
  const all = (): readonly XdsResource[] => (made ??= make());
  return {
    find: (name) => {
      const found = all().find((resource) => resource.name === name);
      return found === undefined ? [] : [found];
    },
    names: () => new Set(all().map(({ name }) => name)),
  };
}
