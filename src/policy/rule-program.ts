import type { RequestTest } from './attribute-test.ts';
import type { CompiledRule } from './compiled-rule.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';
import { lowerCase } from './lower-case.ts';
import type { Keys } from './identity-anchors.ts';
import { HOST, PATH, PREFIX } from './request-anchors.ts';
import { RuleIndex } from './rule-index.ts';
import { byId, comesBefore, RuleList, rulesOf, type Found } from './rule-list.ts';
import type { RuleShelf } from './rule-shelf.ts';
import { HASH_START, hashOf, hashOn, keyOf } from './text-hash.ts';

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

  /** `identity` are the keys of the peer's. */
  constructor({ index }: RuleProgram, facts: ConnectionFacts, identity: Keys) {
    const shelves = index.shelvesFor(identity);
    let always: CompiledRule | undefined;
    const tests: BoundRule[] = [];
    for (const { others } of shelves) {
      if (others === undefined) continue;
      for (const rule of rulesOf(others)) {
        if (always !== undefined && comesBefore(always, rule)) break;
        const test = rule.bind(facts);
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
    this.#shelves = shelves.filter((shelf) => shelf.isAsked);
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
    const { lengths } = shelf;
    let best = before;
    if (shelf.paths > 0 || lengths.length > 0) {
      const { path } = request;
      let hash = HASH_START;
      let at = 0;
      for (let index = 0; index < lengths.length; index += 1) {
        const length = lengths[index] ?? 0;
        if (length > path.length) break;
        for (; at < length; at += 1) hash = hashOn(hash, path.charCodeAt(at));
        best = this.#firstOf(shelf.find(keyOf(hash, PREFIX)), request, best);
      }
      if (shelf.paths > 0) {
        for (; at < path.length; at += 1) hash = hashOn(hash, path.charCodeAt(at));
        best = this.#firstOf(shelf.find(keyOf(hash, PATH)), request, best);
      }
    }
    if (shelf.hosts > 0 && request.host !== undefined) {
      best = this.#firstOf(shelf.find(keyOf(hashOf(lowerCase(request.host)), HOST)), request, best);
    }
    return best;
  }

  /** The first of these that comes before the best so far and matches; else the best so far. */
  #firstOf(found: Found | undefined, request: RequestFacts, best: CompiledRule | undefined): CompiledRule | undefined {
    if (found === undefined) return best;
    if (!(found instanceof RuleList)) {
      if (best !== undefined && comesBefore(best, found)) return best;
      return found.matches(this.#facts, request) ? found : best;
    }
    const { rules } = found;
    for (let index = 0; index < rules.length; index += 1) {
      const rule = rules[index];
      if (rule === undefined || (best !== undefined && comesBefore(best, rule))) return best;
      if (rule.matches(this.#facts, request)) return rule;
    }
    return best;
  }
}
