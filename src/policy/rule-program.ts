import { bindRule, type CompiledRule } from './compiled-rule.ts';
import type { RequestTest } from './attribute-test.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';

/** The rules of one action, in the order in which Envoy asks them, so that the same one is named when several match. */
export interface RuleProgram {
  readonly rules: readonly CompiledRule[];
  /** Rules that can match only at written-out paths, by these paths: a thousand of them cost one look-up. */
  readonly byPath: ReadonlyMap<string, readonly number[]>;
}

export function createRuleProgram(rules: readonly CompiledRule[]): RuleProgram {
  // Envoy keeps policies in a std::map, sorted by the bytes of their names; ours hold ASCII.
  const sorted = rules.filter(({ never }) => !never).toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const byPath = new Map<string, number[]>();
  for (const [index, { exactPaths }] of sorted.entries()) {
    for (const path of new Set(exactPaths)) {
      const indexes = byPath.get(path);
      if (indexes === undefined) byPath.set(path, [index]);
      else indexes.push(index);
    }
  }
  return Object.freeze({ rules: sorted, byPath });
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
  readonly #byPath: RuleProgram['byPath'];

  constructor(program: RuleProgram, facts: ConnectionFacts) {
    let always = NONE;
    const tests: RequestTest[] = [];
    const places: number[] = [];
    let indexed: (RequestTest | undefined)[] | undefined;
    const { rules } = program;
    for (let place = 0; place < rules.length && always === NONE; place += 1) {
      const rule = rules[place];
      const bound = rule === undefined ? false : bindRule(rule, facts);
      if (bound === true) {
        always = place;
      } else if (bound !== false && rule?.exactPaths !== undefined) {
        indexed ??= Array.from({ length: rules.length });
        indexed[place] = bound;
      } else if (bound !== false) {
        tests.push(bound);
        places.push(place);
      }
    }
    this.#always = always;
    this.#tests = tests;
    this.#places = places;
    this.#indexed = indexed;
    this.#byPath = program.byPath;
  }

  /** The rule that matches whatever is asked, `NONE` if none ever can; nothing if it depends on the request. */
  get constant(): number | undefined {
    return this.#tests.length === 0 && this.#indexed === undefined ? this.#always : undefined;
  }

  /** The place of the first rule that matches, or `NONE`. Allocates nothing. */
  first(facts: RequestFacts): number {
    let best = this.#always;
    const indexed = this.#indexed;
    const candidates = indexed === undefined ? undefined : this.#byPath.get(facts.path);
    if (indexed !== undefined && candidates !== undefined) {
      for (const place of candidates) {
        const test = indexed[place];
        if (test !== undefined && test(facts)) {
          best = place;
          break;
        }
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
