import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { XdsUpdate } from '../../src/wire/xds-owner.ts';

/** What was read of a push, or of a part of one. */
export interface ReadPush<T> {
  readonly changed: readonly { readonly resource: XdsResource; readonly value: T }[];
  readonly removed: readonly string[];
}

/** A push as a whole. */
export interface WholePush<T> {
  readonly changed: ReadonlyMap<string, { readonly resource: XdsResource; readonly value: T }>;
  /** None of them is in `changed`. */
  readonly removed: ReadonlySet<string>;
}

/**
 * A policy of one rule has 400 bytes and takes 20 us; one of ten 2000 bytes and 130 us. So a slice is a millisecond, and a
 * few in a process that has compiled nothing yet.
 */
const BYTES_OF_SLICE = 12 * 1024;

/**
 * Reads each resource of a push, a slice in each turn of the event loop; in this very turn where one is enough, as for
 * nearly every change.
 */
export function readPush<T>(update: XdsUpdate, read: (resource: XdsResource) => T): ReadPush<T> | Promise<ReadPush<T>> {
  const slices = readInSlices(update, read);
  const first = slices.next();
  if (first.done === true) return first.value;
  return goOn(slices);
}

async function goOn<T>(slices: Generator<undefined, ReadPush<T>>): Promise<ReadPush<T>> {
  for (;;) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}

function* readInSlices<T>(
  { changed, removed }: XdsUpdate,
  read: (resource: XdsResource) => T,
): Generator<undefined, ReadPush<T>> {
  const made: ReadPush<T>['changed'][number][] = [];
  let bytes = 0;
  for (const resource of changed) {
    if (bytes > BYTES_OF_SLICE) {
      yield;
      bytes = 0;
    }
    bytes += resource.body.value.length;
    made.push({ resource: ownCopy(resource), value: read(resource) });
  }
  return { changed: made, removed };
}

/** Joins the parts of a push in their order. */
export function wholeOf<T>(parts: readonly ReadPush<T>[]): WholePush<T> {
  const whole = { changed: new Map<string, ReadPush<T>['changed'][number]>(), removed: new Set<string>() };
  for (const { changed, removed } of parts) {
    for (const name of removed) {
      whole.changed.delete(name);
      whole.removed.add(name);
    }
    for (const each of changed) {
      whole.removed.delete(each.resource.name);
      whole.changed.set(each.resource.name, each);
    }
  }
  return whole;
}

/** A resource as it may be kept: its bytes are a window into the whole message, which would be kept with them. */
export function ownCopy(resource: XdsResource): XdsResource {
  return { ...resource, body: { typeUrl: resource.body.typeUrl, value: Uint8Array.from(resource.body.value) } };
}
