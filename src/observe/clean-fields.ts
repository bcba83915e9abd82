import { cleanText } from '../core/clean-text.ts';
import type { LogFields } from '../core/logger.ts';

/**
 * Names that never reach a log whatever they hold (invariant 2). Nobody should log them in the first place; this is
 * the second line of defence.
 */
const SECRET = new Set(['token', 'authorization', 'password', 'privatekey', 'key', 'jwt', 'bearer']);

/** UTF-16 units of one text: a stack trace fits. */
export const LONGEST_LOGGED = 4_096;
const LONGEST_NAME = 64;

/** Of one list or object, and how deep they lie within each other. */
const MOST_MEMBERS = 64;
const DEEPEST = 6;

/**
 * What of a line's fields may be written: every text in them, names included, without PEM blocks and JWTs and of a
 * bounded length, since a caller may have chosen it; nothing under a secret's name; no bytes.
 */
export function cleanFields(fields: LogFields): Record<string, unknown> {
  return cleanMembers(fields, 0);
}

function cleanMembers(record: object, depth: number): Record<string, unknown> {
  const members = Object.entries(record).slice(0, MOST_MEMBERS);
  return Object.fromEntries(
    members.map(([name, value]: [string, unknown]) => [
      cleanText(name, LONGEST_NAME),
      value !== undefined && SECRET.has(name.toLowerCase()) ? '[redacted]' : clean(value, depth),
    ]),
  );
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value, LONGEST_LOGGED);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEEPEST) return '[too deep]';
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Error) return cleanText(`${value.name}: ${value.message}`, LONGEST_LOGGED);
  // As JSON.stringify would: what an object says of itself, such as a SpiffeId its text.
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const json: unknown = value.toJSON();
    return clean(json, depth + 1);
  }
  if (Array.isArray(value)) return value.slice(0, MOST_MEMBERS).map((item) => clean(item, depth + 1));
  return cleanMembers(value, depth + 1);
}
