import type { XdsResource } from '../../src/wire/xds-message.ts';

/** The resources of one type, for those who may see the same, at one moment. */
export interface TypeIndex {
  /** Those that have this name or alias. */
  find(name: string): readonly XdsResource[];
  names(): Iterable<string>;
  /** The names of what is new, different or gone since an earlier index of the same type. */
  changesSince(before: TypeIndex): readonly string[];
}
