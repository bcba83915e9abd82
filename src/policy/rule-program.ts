import type { RequestTest } from './attribute-test.ts';
import { bindRule, type CompiledRule } from './compiled-rule.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { RuleIndex, type RuleShelf } from './rule-index.ts';
import { byId, comesBefore } from './rule-list.ts';
import { lowerCase } from './lower-case.ts';
import { HASH_START, hashOn } from './text-map.ts';

/** The rules of one action. Of several that match, the one is named that Envoy would name. */
export interface RuleProgram {
  readonly index: RuleIndex;
  /** How many policies have this action, also those none of whose rules can match. */
  readonly policies: number;
  readonly rules: number;
}

export const NO_RULES: RuleProgram = Object.freeze({ index: RuleIndex.EMPTY, policies: 0, rules: 0 });

interface BoundRule {
  readonly rule: CompiledRule;
  readonly test: RequestTest;
}

/** The rules of one action on one connection: those that cannot match any more are gone. */
export class BoundProgram {
  readonly #facts: ConnectionFacts;
  /** The first rule that matches whatever is asked. Rules behind it are not asked. */
  readonly #always: CompiledRule | undefined;
  /** Rules that have to be asked one after the other. */
  readonly #tests: readonly BoundRule[];
  /** Where path or host find rules. */
  readonly #shelves: readonly RuleShelf[];

  constructor({ index }: RuleProgram, facts: ConnectionFacts) {
    const shelves = index.shelvesFor(facts.identity);
    let always: CompiledRule | undefined;
    const tests: BoundRule[] = [];
    for (const { others } of shelves) {
      for (const rule of others.rules) {
        if (always !== undefined && comesBefore(always, rule)) break;
        const test = bindRule(rule, facts);
        if (test === true) {
          always = rule;
          break;
        }
        if (test !== false) tests.push({ rule, test });
      }
    }
    const first = always;
    const asked = first === undefined ? tests : tests.filter(({ rule }) => comesBefore(rule, first));
    this.#facts = facts;
    this.#always = always;
    this.#tests = shelves.length > 1 ? asked.sort((a, b) => byId(a.rule, b.rule)) : asked;
    this.#shelves = shelves.filter(
      ({ paths, lengths, hosts }) => !paths.isEmpty || lengths.length > 0 || !hosts.isEmpty,
    );
  }

  /** Whether no request can change the answer. */
  get settled(): boolean {
    return this.#tests.length === 0 && this.#shelves.length === 0;
  }

  /** The first rule that matches whatever is asked, if one does. */
  get always(): CompiledRule | undefined {
    return this.#always;
  }

  /** The first rule that matches, or nothing. Allocates nothing. */
  first(request: RequestFacts): CompiledRule | undefined {
    let best = this.#always;
    const shelves = this.#shelves;
    for (let index = 0; index < shelves.length; index += 1) {
      const shelf = shelves[index];
      if (shelf !== undefined) best = this.#firstOn(shelf, request, best);
    }
    const tests = this.#tests;
    for (let index = 0; index < tests.length; index += 1) {
      const bound = tests[index];
      if (bound === undefined || (best !== undefined && comesBefore(best, bound.rule))) break;
      if (bound.test(request)) return bound.rule;
    }
    return best;
  }

  #firstOn(shelf: RuleShelf, request: RequestFacts, before: CompiledRule | undefined): CompiledRule | undefined {
    const { paths, prefixes, lengths, hosts } = shelf;
    let best = before;
    if (!paths.isEmpty || lengths.length > 0) {
      const { path } = request;
      let hash = HASH_START;
      let at = 0;
      for (let index = 0; index < lengths.length; index += 1) {
        const length = lengths[index]?.[0] ?? 0;
        if (length > path.length) break;
        for (; at < length; at += 1) hash = hashOn(hash, path.charCodeAt(at));
        best = this.#firstOf(prefixes.begins(path, length, hash)?.rules, request, best);
      }
      if (!paths.isEmpty) {
        for (; at < path.length; at += 1) hash = hashOn(hash, path.charCodeAt(at));
        best = this.#firstOf(paths.begins(path, path.length, hash)?.rules, request, best);
      }
    }
    if (!hosts.isEmpty && request.host !== undefined) {
      best = this.#firstOf(hosts.get(lowerCase(request.host))?.rules, request, best);
    }
    return best;
  }

  /** The first of these that comes before the best so far and matches; else the best so far. */
  #firstOf(
    rules: readonly CompiledRule[] | undefined,
    request: RequestFacts,
    best: CompiledRule | undefined,
  ): CompiledRule | undefined {
    if (rules === undefined) return best;
    for (let index = 0; index < rules.length; index += 1) {
      const rule = rules[index];
      if (rule === undefined || (best !== undefined && comesBefore(best, rule))) return best;
      if (rule.matches(this.#facts, request)) return rule;
    }
    return best;
  }
}
