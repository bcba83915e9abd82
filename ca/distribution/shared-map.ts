import { hashOf } from '../../src/policy/text-hash.ts';

/** Entries in a bucket, on the average, beyond which there are to be more buckets. */
const FULL = 16;

/**
 * A map by text that never changes: an edit makes another one, which shares with it all buckets in which nothing
 * changed. So that whoever holds one sees one moment of the mesh, and the next moment costs what became different.
 */
export class SharedMap<V> {
  static readonly #empty = new SharedMap<never>([new Map<string, never>()], 0);
  readonly size: number;
  /** A power of two of them; none is changed once the map was made. */
  readonly #buckets: readonly ReadonlyMap<string, V>[];

  private constructor(buckets: readonly ReadonlyMap<string, V>[], size: number) {
    this.#buckets = buckets;
    this.size = size;
  }

  static empty<V>(): SharedMap<V> {
    return SharedMap.#empty;
  }

  get(key: string): V | undefined {
    const buckets = this.#buckets;
    return buckets[placeOf(key, buckets.length)]?.get(key);
  }

  *keys(): Generator<string> {
    for (const bucket of this.#buckets) yield* bucket.keys();
  }

  *values(): Generator<V> {
    for (const bucket of this.#buckets) yield* bucket.values();
  }

  /** The map with these values instead; undefined takes a key out. */
  with(edit: ReadonlyMap<string, V | undefined>): SharedMap<V> {
    if (edit.size === 0) return this;
    const buckets = this.#roomFor(this.size + edit.size);
    const fresh = new Map<number, Map<string, V>>();
    let { size } = this;
    for (const [key, value] of edit) {
      const place = placeOf(key, buckets.length);
      const bucket = fresh.get(place) ?? new Map(buckets[place]);
      fresh.set(place, bucket);
      const before = bucket.size;
      if (value === undefined) bucket.delete(key);
      else bucket.set(key, value);
      size += bucket.size - before;
    }
    for (const [place, bucket] of fresh) buckets[place] = bucket;
    return new SharedMap(buckets, size);
  }

  /** Buckets to be edited, as a list of its own: as many more as it takes for so many entries. */
  #roomFor(size: number): ReadonlyMap<string, V>[] {
    let count = this.#buckets.length;
    while (count * FULL < size) count *= 2;
    if (count === this.#buckets.length) return [...this.#buckets];
    const buckets = Array.from({ length: count }, () => new Map<string, V>());
    for (const bucket of this.#buckets) {
      for (const [key, value] of bucket) buckets[placeOf(key, count)]?.set(key, value);
    }
    return buckets;
  }
}

function placeOf(key: string, count: number): number {
  const hash = hashOf(key);
  // The lower bits alone would depend on the last characters alone.
  return (hash ^ (hash >>> 15)) & (count - 1);
}
