import { createPathIndex, type PathIndex } from './path-index.ts';
import { bindRule, type CompiledRule } from './compiled-rule.ts';
import type { RequestTest } from './attribute-test.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';

/** The rules of one action, in the order in which Envoy asks them, so that the same one is named when several match. */
export interface RuleProgram {
  readonly rules: readonly CompiledRule[];
  readonly index: PathIndex;
}

export function createRuleProgram(rules: readonly CompiledRule[]): RuleProgram {
  // Envoy keeps policies in a std::map, sorted by the bytes of their names; ours hold ASCII.
  const sorted = rules.filter(({ never }) => !never).toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return Object.freeze({ rules: sorted, index: createPathIndex(sorted.map(({ leads }) => leads)) });
}

/** No rule. */
export const NONE = -1;

/** The rules of one action on one connection: those that cannot match any more are gone. */
export class BoundProgram {
  /** The first rule that matches whatever is asked, or `NONE`. Rules behind it are not kept. */
  readonly #always: number;
  /** Rules that have to be asked one after the other, and their places. */
  readonly #tests: readonly RequestTest[];
  readonly #places: readonly number[];
  /** Rules that are found by path, by their places. Nothing where none is left. */
  readonly #indexed: readonly (RequestTest | undefined)[] | undefined;
  readonly #index: PathIndex;

  constructor(program: RuleProgram, facts: ConnectionFacts) {
    let always = NONE;
    const tests: RequestTest[] = [];
    const places: number[] = [];
    const indexed: (RequestTest | undefined)[] = [];
    let found = false;
    for (const [place, rule] of program.rules.entries()) {
      const bound = bindRule(rule, facts);
      if (bound === true) {
        always = place;
        break;
      }
      const byPath = bound !== false && rule.leads !== undefined;
      indexed.push(byPath ? bound : undefined);
      if (byPath) {
        found = true;
      } else if (bound !== false) {
        tests.push(bound);
        places.push(place);
      }
    }
    this.#always = always;
    this.#tests = tests;
    this.#places = places;
    this.#indexed = found ? indexed : undefined;
    this.#index = program.index;
  }

  /** The rule that matches whatever is asked, `NONE` if none ever can; nothing if it depends on the request. */
  get constant(): number | undefined {
    return this.#tests.length === 0 && this.#indexed === undefined ? this.#always : undefined;
  }

  /** The place of the first rule that matches, or `NONE`. Allocates nothing. */
  first(facts: RequestFacts): number {
    let best = this.#always;
    const indexed = this.#indexed;
    if (indexed !== undefined) {
      const { whole, prefixes } = this.#index;
      const { path } = facts;
      best = firstOf(whole.get(path), indexed, facts, best);
      for (let at = 0; at < prefixes.length; at += 1) {
        const prefix = prefixes[at];
        if (prefix === undefined || prefix.length > path.length) break;
        best = firstOf(prefix.places.get(path.slice(0, prefix.length)), indexed, facts, best);
      }
    }
    const tests = this.#tests;
    const places = this.#places;
    for (let index = 0; index < tests.length; index += 1) {
      const place = places[index] ?? NONE;
      if (best !== NONE && place > best) break;
      if (tests[index]?.(facts) === true) return place;
    }
    return best;
  }
}

/** The first of these places that comes before the best so far and matches; else the best so far. */
function firstOf(
  places: readonly number[] | undefined,
  indexed: readonly (RequestTest | undefined)[],
  facts: RequestFacts,
  best: number,
): number {
  if (places === undefined) return best;
  for (const place of places) {
    if (best !== NONE && place > best) return best;
    const test = indexed[place];
    if (test !== undefined && test(facts)) return place;
  }
  return best;
}
