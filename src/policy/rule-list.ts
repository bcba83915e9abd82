import type { CompiledRule } from './compiled-rule.ts';
import type { Edit } from './text-map.ts';

/** Rules in the order in which Envoy asks them: it keeps policies in a std::map, sorted by the bytes of their names. */
export interface RuleList {
  readonly edit: Edit;
  readonly rules: CompiledRule[];
}

/** Ours are ASCII, so that comparing texts compares bytes. */
export function comesBefore(a: CompiledRule, b: CompiledRule): boolean {
  return a.id < b.id;
}

export function byId(a: CompiledRule, b: CompiledRule): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Where a rule belongs in a sorted list: behind those before it. */
export function placeOf(rules: readonly CompiledRule[], rule: CompiledRule): number {
  let [low, high] = [0, rules.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = rules[middle];
    if (there !== undefined && !comesBefore(rule, there)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const SLICE = 512;

/** Sorts, and pauses where others may have a turn. */
export function* sortInSlices(rules: CompiledRule[]): Generator<undefined, void> {
  if (rules.length <= SLICE) {
    rules.sort(byId);
    return;
  }
  let runs: CompiledRule[][] = [];
  for (let at = 0; at < rules.length; at += SLICE) {
    runs.push(rules.slice(at, at + SLICE).sort(byId));
    yield;
  }
  while (runs.length > 1) {
    const merged: CompiledRule[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(yield* mergeInSlices(runs[at] ?? [], runs[at + 1] ?? []));
    }
    runs = merged;
  }
  for (const [at, rule] of (runs[0] ?? []).entries()) rules[at] = rule;
}

function* mergeInSlices(
  left: readonly CompiledRule[],
  right: readonly CompiledRule[],
): Generator<undefined, CompiledRule[]> {
  const merged: CompiledRule[] = [];
  let [fromLeft, fromRight] = [0, 0];
  while (fromLeft < left.length || fromRight < right.length) {
    const [a, b] = [left[fromLeft], right[fromRight]];
    if (a !== undefined && (b === undefined || !comesBefore(b, a))) {
      merged.push(a);
      fromLeft += 1;
    } else if (b !== undefined) {
      merged.push(b);
      fromRight += 1;
    }
    if (merged.length % SLICE === 0) yield;
  }
  return merged;
}
