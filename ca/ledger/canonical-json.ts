import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';

/**
 * The one written form of a value, so that its hash means something: RFC 8785 (JSON Canonicalization Scheme) cut down
 * to objects with known keys in order of their UTF-16 code units, lists, well-formed strings, and integers from 0 to
 * 2^53 - 1. For these, ECMAScript's own JSON.stringify writes exactly what RFC 8785 3.2.2 asks for, as long as the keys
 * are inserted in order and none of them looks like an array index.
 */
export interface Codec<T> {
  readonly optional?: boolean;
  /** What JSON.stringify shall write. @throws SealwrightError `ledger_entry_invalid` */
  write(value: T, path: string): unknown;
  /** Reads what JSON.parse gave, strictly. @throws SealwrightError `ledger_entry_invalid` */
  read(value: unknown, path: string): T;
}

type Fields<T> = { readonly [K in keyof T]-?: Codec<Exclude<T[K], undefined>> };

export function invalid(path: string, reason: string): never {
  throw new SealwrightError('ledger_entry_invalid', { field: path, reason });
}

/** Writes a value in its canonical form. */
export function encodeCanonical<T>(codec: Codec<T>, value: T): string {
  return JSON.stringify(codec.write(value, ''));
}

/** Reads a text, and refuses whatever is not the canonical form of what it says: a second spelling has another hash. */
export function decodeCanonical<T>(codec: Codec<T>, text: string, longest: number): T {
  if (text.length > longest) return invalid('', `longer than ${longest} characters`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return invalid('', 'not JSON');
  }
  const value = codec.read(parsed, '');
  if (encodeCanonical(codec, value) !== text) return invalid('', 'not in canonical form');
  return value;
}

export const integer: Codec<number> = {
  write: (value, path) => checkInteger(value, path),
  read: (value, path) => checkInteger(value, path),
};

function checkInteger(value: unknown, path: string): number {
  // -0 is a safe integer that JSON.stringify writes as 0: it would not come back as it was.
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || Object.is(value, -0))
    return invalid(path, 'not an integer from 0 to 2^53 - 1');
  return value;
}

/** An instant in whole seconds, held in milliseconds: what a certificate can say (boulder#8318 is the other way). */
export const wholeSecond: Codec<number> = {
  write: (value, path) => checkWholeSecond(value, path),
  read: (value, path) => checkWholeSecond(value, path),
};

function checkWholeSecond(value: unknown, path: string): number {
  const checked = checkInteger(value, path);
  return checked % 1000 === 0 ? checked : invalid(path, 'not a whole second');
}

/** A string of a known shape; the pattern must bound its length. */
export function pattern(shape: RegExp): Codec<string> {
  const check = (value: unknown, path: string): string =>
    typeof value === 'string' && shape.test(value) ? value : invalid(path, `does not match ${shape.source}`);
  return { write: check, read: check };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Codec<T> {
  const check = (value: unknown, path: string): T =>
    choices.find((choice) => choice === value) ?? invalid(path, `not one of ${choices.join(', ')}`);
  return { write: check, read: check };
}

/** A text made elsewhere, cleaned while it is written, so that no caller's text can keep its own refusal out. */
export function cleaned(clean: (text: string) => string): Codec<string> {
  return {
    write: (value) => clean(value),
    read: (value, path) =>
      typeof value === 'string' && clean(value) === value ? value : invalid(path, 'not a clean, bounded text'),
  };
}

/** Bytes as base64 (RFC 4648 section 4). */
export function bytes(longest: number): Codec<Buffer> {
  return {
    write: (value, path) =>
      value.length <= longest ? value.toString('base64') : invalid(path, `longer than ${longest} bytes`),
    read: (value, path) => {
      if (typeof value !== 'string' || value.length > Math.ceil(longest / 3) * 4) return invalid(path, 'not base64');
      const read = Buffer.from(value, 'base64');
      return read.toString('base64') === value ? read : invalid(path, 'not base64');
    },
  };
}

export const spiffeId: Codec<SpiffeId> = {
  write: (value) => String(value),
  read: (value, path) => {
    if (typeof value !== 'string') return invalid(path, 'not a string');
    try {
      return SpiffeId.parse(value);
    } catch {
      return invalid(path, 'not a SPIFFE ID');
    }
  },
};

export function listOf<T>(codec: Codec<T>, longest: number): Codec<readonly T[]> {
  const check = (value: unknown, path: string): unknown[] =>
    Array.isArray(value) && value.length <= longest ? value : invalid(path, `not a list of at most ${longest}`);
  return {
    write: (value, path) => {
      check(value, path);
      return value.map((item, index) => codec.write(item, `${path}[${index}]`));
    },
    read: (value, path) => check(value, path).map((item, index) => codec.read(item, `${path}[${index}]`)),
  };
}

/** Numbers by name. Names begin with a letter: a key that looks like an array index would lose its place. */
export function countsByName(name: RegExp, most: number): Codec<Readonly<Record<string, number>>> {
  const check = (value: unknown, path: string): Record<string, number> => {
    const entries = Object.entries(asObject(value, path));
    if (entries.length > most) return invalid(path, `more than ${most} names`);
    // RFC 8785 3.2.3: by UTF-16 code units, which is what JavaScript compares.
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(
      entries.map(([key, count]) => {
        if (!name.test(key)) return invalid(path, `a name does not match ${name.source}`);
        return [key, checkInteger(count, `${path}.${key}`)];
      }),
    );
  };
  return { write: check, read: check };
}

export function optional<T>(codec: Codec<T>): Codec<T> {
  return { ...codec, optional: true };
}

/** An object with exactly these keys; an unknown one is refused. */
export function record<T extends object>(fields: Fields<T>): Codec<T> {
  const names = (Object.keys(fields) as (keyof T & string)[]).sort();
  const known = new Set<string>(names);
  const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
  return {
    write: (value, path) => {
      const written: Record<string, unknown> = {};
      for (const name of names) {
        const part = value[name];
        if (part !== undefined) {
          written[name] = fields[name].write(part as Exclude<T[typeof name], undefined>, at(path, name));
        } else if (fields[name].optional !== true) invalid(at(path, name), 'missing');
      }
      return written;
    },
    read: (value, path) => {
      const object = asObject(value, path);
      const read: Partial<T> = {};
      for (const name of Object.keys(object)) if (!known.has(name)) invalid(at(path, name.slice(0, 64)), 'unknown');
      for (const name of names) {
        const part = Object.hasOwn(object, name) ? object[name] : undefined;
        if (part !== undefined) read[name] = fields[name].read(part, at(path, name));
        else if (fields[name].optional !== true) invalid(at(path, name), 'missing');
      }
      // Every field that is not optional was read above.
      return read as T;
    },
  };
}

export function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return invalid(path, 'not an object');
  return value as Record<string, unknown>;
}
