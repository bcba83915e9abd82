import type { JsonObject } from '@bufbuild/protobuf';
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { TypedBytes } from './xds-message.ts';

const TYPE_URL = `type.googleapis.com/${StructSchema.typeName}`;

/** A JSON object as google.protobuf.Struct. */
export function encodeObject(object: Readonly<Record<string, unknown>>): TypedBytes {
  // What JSON does not have (undefined, functions) is left out, as JSON.stringify does.
  const json = JSON.parse(JSON.stringify(object)) as JsonObject;
  return { typeUrl: TYPE_URL, value: toBinary(StructSchema, fromJson(StructSchema, json)) };
}

/** @throws SealwrightError `response_unreadable` for bytes of another type, or that are no message */
export function decodeObject({ typeUrl, value }: TypedBytes): Readonly<Record<string, unknown>> {
  const refuse = (reason: string, cause?: unknown): SealwrightError =>
    new SealwrightError('response_unreadable', { expected: TYPE_URL, reason }, { cause });
  if (typeUrl !== TYPE_URL) throw refuse(`it is of type ${typeUrl.slice(0, 256)}`);
  try {
    return toJson(StructSchema, fromBinary(StructSchema, value));
  } catch (error) {
    throw refuse(reasonOf(error), error);
  }
}
