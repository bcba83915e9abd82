import { fromBinary, fromJson, toBinary, toJson, type JsonObject } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';

/** A `google.protobuf.Struct` as bytes. The same value always gives the same bytes: keys are sorted. */
export function encodeStruct(value: JsonObject): Buffer {
  return Buffer.from(toBinary(StructSchema, fromJson(StructSchema, sorted(value))));
}

/** Reads one; undefined where the bytes are none. */
export function decodeStruct(bytes: Uint8Array): JsonObject | undefined {
  try {
    return toJson(StructSchema, fromBinary(StructSchema, bytes));
  } catch {
    return undefined;
  }
}

function sorted(value: JsonObject): JsonObject {
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    entries.map(([key, field]) => {
      const nested = typeof field === 'object' && field !== null && !Array.isArray(field);
      return [key, nested ? sorted(field) : field];
    }),
  );
}
