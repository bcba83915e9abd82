import type { Slices } from '../../src/policy/slices.ts';

/**
 * Writes a plain value as `JSON.stringify` does, a piece after the other, and pauses between them. `depth`: how many
 * levels of lists and objects are taken apart; what lies deeper is written as one piece.
 */
export function* jsonInSlices(value: unknown, depth: number, write: (text: string) => void): Slices<void> {
  if (depth === 0 || typeof value !== 'object' || value === null) {
    // Nothing is nothing in a list only; fields of an object without a value are left out below.
    write(JSON.stringify(value) ?? 'null');
    yield;
    return;
  }
  const list = Array.isArray(value);
  write(list ? '[' : '{');
  let first = true;
  for (const [name, item] of list ? value.entries() : Object.entries(value)) {
    if (!list && item === undefined) continue;
    if (!first) write(',');
    first = false;
    if (!list) write(`${JSON.stringify(name)}:`);
    yield* jsonInSlices(item, depth - 1, write);
  }
  write(list ? ']' : '}');
}
