import type { CompiledRule } from './compiled-rule.ts';
import type { Edit } from './key-map.ts';

/** Several rules in the order in which Envoy asks them: it keeps policies in a std::map, sorted by the bytes of their names. */
export class RuleList {
  readonly edit: Edit;
  readonly rules: CompiledRule[];

  constructor(edit: Edit, rules: CompiledRule[]) {
    this.edit = edit;
    this.rules = rules;
  }
}

/** What stands in one place: mostly one rule. */
export type Found = CompiledRule | RuleList;

export function rulesOf(found: Found): readonly CompiledRule[] {
  return found instanceof RuleList ? found.rules : [found];
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

const SLICE = 256;

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
  let written = 0;
  for (const rule of runs[0] ?? []) {
    rules[written] = rule;
    written += 1;
    if (written % (8 * SLICE) === 0) yield;
  }
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
