/** A structural OpenAPI v3 schema, as a CustomResourceDefinition holds it. */
export type Schema = Readonly<Record<string, unknown>>;

/** A rule in the Common Expression Language, and what the API server says where it does not hold. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

interface Said {
  /** For `kubectl explain`. */
  readonly description?: string;
  readonly rules?: readonly CelRule[];
}

type Fields = Readonly<Record<string, Schema>>;

export function object(
  properties: Fields,
  { required, rules, description, ...more }: Said & { readonly required?: readonly string[] } & Schema = {},
): Schema {
  return {
    ...described(description),
    type: 'object',
    properties,
    ...(required === undefined ? {} : { required }),
    ...more,
    ...ruled(rules),
  };
}

export function listOf(
  items: Schema,
  { max, min, rules, description, ...more }: Said & { readonly max?: number; readonly min?: number } & Schema = {},
): Schema {
  return {
    ...described(description),
    type: 'array',
    items,
    ...(max === undefined ? {} : { maxItems: max }),
    ...(min === undefined ? {} : { minItems: min }),
    ...more,
    ...ruled(rules),
  };
}

export function mapOf(
  additionalProperties: Schema,
  { max, min, rules, description }: Said & { readonly max?: number; readonly min?: number } = {},
): Schema {
  return {
    ...described(description),
    type: 'object',
    additionalProperties,
    ...(max === undefined ? {} : { maxProperties: max }),
    ...(min === undefined ? {} : { minProperties: min }),
    ...ruled(rules),
  };
}

export function text({
  max,
  min,
  pattern,
  rules,
  description,
}: Said & { readonly max?: number; readonly min?: number; readonly pattern?: string } = {}): Schema {
  return {
    ...described(description),
    type: 'string',
    ...(max === undefined ? {} : { maxLength: max }),
    ...(min === undefined ? {} : { minLength: min }),
    ...(pattern === undefined ? {} : { pattern }),
    ...ruled(rules),
  };
}

export function oneOf(values: readonly string[], description?: string): Schema {
  return { ...described(description), type: 'string', enum: values };
}

export function truth(description?: string): Schema {
  return { ...described(description), type: 'boolean' };
}

/** A whole number; of unlimited size unless limits are given. */
export function integer({
  min,
  max,
  rules,
  description,
}: Said & { readonly min?: number; readonly max?: number } = {}): Schema {
  return { ...described(description), type: 'integer', ...bounds({ min, max }), ...ruled(rules) };
}

/** As protobuf's `int32`: 0 and less pass here and are judged by the CA. */
export function int32(description?: string): Schema {
  return { ...described(description), type: 'integer', format: 'int32' };
}

export function uint32(rules?: readonly CelRule[]): Schema {
  return integer({ min: 0, max: 4_294_967_295, ...(rules === undefined ? {} : { rules }) });
}

export function double(limits: { readonly min?: number; readonly max?: number }): Schema {
  return { type: 'number', format: 'double', ...bounds(limits) };
}

/** In Istio's API these are wrapped values, which may be written as null. */
export function nullable(schema: Schema): Schema {
  return { ...schema, nullable: true };
}

/** At most one of the fields: what protobuf calls a `oneof`. */
export function atMostOne(names: readonly string[]): Schema {
  const each = names.map((name) => ({ required: [name] }));
  return { oneOf: [{ not: { anyOf: each } }, ...each] };
}

/** A CEL term that counts how many of the fields are given. */
export function countOf(names: readonly string[]): string {
  return names.map((name) => `(has(self.${name}) ? 1 : 0)`).join(' + ');
}

function bounds({ min, max }: { readonly min?: number | undefined; readonly max?: number | undefined }): Schema {
  return { ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) };
}

function described(description: string | undefined): Schema {
  return description === undefined ? {} : { description };
}

function ruled(rules: readonly CelRule[] | undefined): Schema {
  return rules === undefined ? {} : { 'x-kubernetes-validations': rules };
}
