import { z } from 'zod';
import type { Issue } from '../core/issue.ts';
import { formatFieldPath } from './field-path.ts';
import { suggestWord } from '../core/nearest-word.ts';

/** The structure of one field. The rooms write structures with the functions below; only this file knows zod. */
export type Schema<T> = z.ZodType<T>;

/** The value that a schema reads. */
export type Read<S> = S extends z.ZodType<infer T> ? T : never;

/** Between what is wrong and its remedy, inside the one text that zod carries. */
const SEPARATOR = '\u0000';

export function text(limits: { min?: number; max?: number } = {}): Schema<string> {
  return z
    .string()
    .min(limits.min ?? 0)
    .max(limits.max ?? 4096);
}

export function integer(limits: { min: number; max: number }): Schema<number> {
  return z.int().min(limits.min).max(limits.max);
}

export function number(limits: { min: number; max: number }): Schema<number> {
  return z.number().min(limits.min).max(limits.max);
}

export function truth(): Schema<boolean> {
  return z.boolean();
}

export function oneOf<const T extends string>(...values: readonly [T, ...T[]]): Schema<T> {
  return z.enum(values);
}

export function listOf<T>(item: Schema<T>, limits: { min?: number; max: number }): Schema<readonly T[]> {
  return z
    .array(item)
    .min(limits.min ?? 0)
    .max(limits.max);
}

export function mapOf<T>(value: Schema<T>, limits: { max: number }): Schema<Readonly<Record<string, T>>> {
  return z.record(z.string(), value).check((context) => {
    const size = Object.keys(context.value).length;
    if (size <= limits.max) return;
    const message = `${size} entries are too many${SEPARATOR}keep at most ${limits.max}`;
    context.issues.push({ code: 'custom', message, input: context.value });
  });
}

/** A value that some other part reads. */
export function anything(): Schema<unknown> {
  return z.unknown();
}

export function optional<T>(schema: Schema<T>): Schema<T | undefined> {
  return schema.optional();
}

type Fields = Readonly<Record<string, z.ZodType>>;

type Optional<F extends Fields> = { [K in keyof F]: undefined extends Read<F[K]> ? K : never }[keyof F];

/** An object of exactly these fields; every other one is an issue with the nearest name. */
export function fields<F extends Fields>(
  shape: F,
): Schema<
  { readonly [K in Exclude<keyof F, Optional<F>>]: Read<F[K]> } & {
    readonly [K in Optional<F>]?: Read<F[K]>;
  }
> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const unknown = Array.isArray(issue['keys']) ? issue['keys'].map(String) : [];
      const otherwise = `one of: ${known.join(', ')}`;
      return unknown.map((key) => suggestWord(key, known, otherwise)).join(SEPARATOR);
    },
  }) as never;
}

export type Checked<T> =
  | { readonly value: T; readonly issues: readonly [] }
  | { readonly value: undefined; readonly issues: readonly Issue[] };

/**
 * Reads a value by a schema. Issues have the field's path below `root` and no place yet (`placeIssue` adds it).
 * Never throws on bad input.
 */
export function checkShape<T>(schema: Schema<T>, value: unknown, root: readonly (string | number)[] = []): Checked<T> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return { value: result.data, issues: [] };
  return { value: undefined, issues: result.error.issues.slice(0, 20).flatMap((issue) => issuesOf(issue, root)) };
}

function issuesOf(issue: z.core.$ZodIssue, root: readonly (string | number)[]): Issue[] {
  const steps = [...root, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  const make = (code: string, message: string, remedy: string, path = steps): Issue => {
    return { severity: 'error', code, message, remedy, path: formatFieldPath(path) };
  };
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return [make('field_required', 'a required field is missing', 'give it')];
      return [
        make('field_type', `${described(issue.input)} is not ${wanted(issue.expected)}`, remedyFor(issue.expected)),
      ];
    case 'unrecognized_keys': {
      const remedies = issue.message.split(SEPARATOR);
      return issue.keys.slice(0, 20).map((key, index) => {
        return make('field_unknown', 'unknown field', remedies[index] ?? 'leave it out', [...steps, key]);
      });
    }
    case 'invalid_value': {
      const values = issue.values.map(String);
      if (issue.input === undefined) return [make('field_required', 'a required field is missing', 'give it')];
      const remedy = suggestWord(
        typeof issue.input === 'string' ? issue.input : '',
        values,
        `one of: ${values.join(', ')}`,
      );
      return [make('field_value', `${described(issue.input)} is not known here`, remedy)];
    }
    case 'too_small':
      return [make('field_range', `${measure(issue)} too small`, `at least ${issue.minimum}`)];
    case 'too_big':
      return [make('field_range', `${measure(issue)} too large`, `at most ${issue.maximum}`)];
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_union':
    case 'not_multiple_of':
      break;
  }
  const [message = 'not valid', remedy = 'see the reference page'] = issue.message.split(SEPARATOR);
  return [make('field_value', message, remedy)];
}

function measure(issue: { readonly origin: string; readonly input?: unknown }): string {
  if (issue.origin === 'string') return 'the length is';
  if (issue.origin === 'array') return 'the number of entries is';
  return `${described(issue.input)} is`;
}

/** A value as a person would name it in a sentence; never more than a little of it. */
export function described(value: unknown): string {
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 64) : value) ?? 'nothing';
}

const WANTED: Readonly<Record<string, readonly [string, string]>> = {
  string: ['text', 'write text; put quotes around what looks like a number or a truth value'],
  int: ['a whole number', 'write a whole number without quotes'],
  number: ['a number', 'write a number without quotes'],
  boolean: ['true or false', 'write true or false without quotes'],
  array: ['a list', 'write a list: one - a line, or [a, b]'],
  object: ['an object', 'write fields below it, indented'],
  record: ['an object', 'write keys and values below it, indented'],
};

function wanted(expected: string): string {
  return WANTED[expected]?.[0] ?? expected;
}

function remedyFor(expected: string): string {
  return WANTED[expected]?.[1] ?? `write ${expected}`;
}
