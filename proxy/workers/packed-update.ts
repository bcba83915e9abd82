import type { XdsUpdate } from '../../src/wire/xds-owner.ts';

/**
 * A push as it crosses between threads: all bodies in one piece of memory. Copied one by one, each of ten thousand would
 * be an object of its own to the copier, and a window into a larger message would take all of that along.
 */
export interface PackedUpdate {
  readonly names: readonly string[];
  readonly versions: readonly string[];
  readonly aliases: readonly (readonly string[])[];
  readonly typeUrls: readonly string[];
  /** Where the body of each ends in the bytes. */
  readonly ends: Uint32Array;
  readonly bytes: Uint8Array;
  readonly removed: readonly string[];
  readonly systemVersion: string;
}

export function packUpdate({ changed, removed, systemVersion }: XdsUpdate): PackedUpdate {
  const ends = new Uint32Array(changed.length);
  let end = 0;
  for (const [index, { body }] of changed.entries()) ends[index] = end += body.value.length;
  const bytes = new Uint8Array(end);
  for (const [index, { body }] of changed.entries()) bytes.set(body.value, (ends[index] ?? 0) - body.value.length);
  return {
    names: changed.map(({ name }) => name),
    versions: changed.map(({ version }) => version),
    aliases: changed.map(({ aliases }) => aliases),
    typeUrls: changed.map(({ body }) => body.typeUrl),
    ends,
    bytes,
    removed,
    systemVersion,
  };
}

export function unpackUpdate(packed: PackedUpdate): XdsUpdate {
  const { names, versions, aliases, typeUrls, ends, bytes, removed, systemVersion } = packed;
  const changed = names.map((name, index) => {
    const value = bytes.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
    const body = { typeUrl: typeUrls[index] ?? '', value };
    return { name, version: versions[index] ?? '', aliases: aliases[index] ?? [], body };
  });
  return { changed, removed, systemVersion };
}
