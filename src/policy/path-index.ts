import type { PathLead } from './path-lead.ts';

/**
 * Finds the rules that a path can match by how it begins: a thousand rules then cost one look-up for whole paths and
 * one for each length that a prefix has, and not a thousand tests.
 */
export interface PathIndex {
  /** By the whole path: the places of rules, ascending. */
  readonly whole: ReadonlyMap<string, readonly number[]>;
  /** By the first so many characters, shortest first. */
  readonly prefixes: readonly PrefixesOfLength[];
}

interface PrefixesOfLength {
  readonly length: number;
  readonly places: ReadonlyMap<string, readonly number[]>;
}

/** `leads` by the place of the rule; a rule without leads is in no index. */
export function createPathIndex(leads: readonly (readonly PathLead[] | undefined)[]): PathIndex {
  const whole = new Map<string, number[]>();
  const byLength = new Map<number, Map<string, number[]>>();
  for (const [place, ofRule] of leads.entries()) {
    for (const { text, whole: isWhole } of ofRule ?? []) {
      const map = isWhole ? whole : (byLength.get(text.length) ?? new Map<string, number[]>());
      if (!isWhole) byLength.set(text.length, map);
      const places = map.get(text);
      if (places === undefined) map.set(text, [place]);
      else if (places.at(-1) !== place) places.push(place);
    }
  }
  const prefixes = [...byLength].sort(([a], [b]) => a - b).map(([length, places]) => ({ length, places }));
  return Object.freeze({ whole, prefixes });
}
