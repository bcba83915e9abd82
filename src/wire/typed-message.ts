import type { DescMessage, JsonObject, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { TypedBytes } from './xds-message.ts';

/** A message as google.protobuf.Any carries it. Equal messages give equal bytes if their maps were filled in one order. */
export function packMessage<D extends DescMessage>(schema: D, init: MessageInitShape<D>): TypedBytes {
  return { typeUrl: typeUrlOf(schema), value: toBinary(schema, create(schema, init)) };
}

/**
 * Reads what `packMessage` wrote.
 *
 * @throws SealwrightError `message_unreadable` where it is of another type, or no such message
 */
export function unpackMessage<D extends DescMessage>(schema: D, { typeUrl, value }: TypedBytes): MessageShape<D> {
  const fields = { expected: schema.typeName, got: typeUrl.slice(0, 200) };
  if (typeUrl !== typeUrlOf(schema)) throw new SealwrightError('message_unreadable', fields);
  try {
    return fromBinary(schema, value);
  } catch (error) {
    throw new SealwrightError('message_unreadable', { ...fields, reason: reasonOf(error) }, { cause: error });
  }
}

/** A JSON object as google.protobuf.Struct. Its numbers are doubles, as JSON's are. */
export function packObject(object: Readonly<Record<string, unknown>>): TypedBytes {
  return { typeUrl: typeUrlOf(StructSchema), value: toBinary(StructSchema, fromJson(StructSchema, jsonOf(object))) };
}

/** @throws SealwrightError `message_unreadable` */
export function unpackObject(body: TypedBytes): Readonly<Record<string, unknown>> {
  const value = toJson(StructSchema, unpackMessage(StructSchema, body));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SealwrightError('message_unreadable', { expected: StructSchema.typeName, got: 'no object' });
  }
  return value;
}

function typeUrlOf({ typeName }: DescMessage): string {
  return `type.googleapis.com/${typeName}`;
}

/** Plain JSON by its construction; what is none (a function, undefined) would not survive this. */
function jsonOf(object: Readonly<Record<string, unknown>>): JsonObject {
  return JSON.parse(JSON.stringify(object)) as JsonObject;
}
